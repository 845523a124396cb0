"""Clients that make trouble, and what the others notice of it.

Each figure is how long messages to the others take, in milliseconds at p99, at a fixed rate; the
floor is the same without the trouble, round by round.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import repeat

from bench.brokers import Broker, Place
from bench.effort import Bench
from bench.figures import Figure, Sample, Wanted, percentile
from bench.generator.calls import Caller
from bench.generator.dial import dial, open_until_left
from bench.generator.meter import busy_while
from bench.generator.requests import post, upgrade_as
from bench.generator.schedule import Open, even, numbered
from bench.generator.sends import BODY
from bench.machine import GENERATOR_CORE, family, settle
from bench.processes import module

CALLERS = 16

MEBIBYTE = 1024 * 1024
BACKLOG = 16
"""Messages of a mebibyte: more than the system's buffers hold."""

STORM_P99 = 250.0
"""Milliseconds."""

RATE = 25.0
"""Sends a second to a channel of 1,000: a fifth of what one core does one at a time."""


def churn(bench: Bench, place: Place) -> Iterator[Figure]:
    """Half of the members of a channel stay; the other half comes and goes, so that each of
    them is replaced once a second. The churn has a process on the generator's core."""
    members = bench.effort.channel

    def coming_and_going(broker: Broker) -> AbstractContextManager[object]:
        count = members // 2
        arguments = (str(broker.worker), "news", str(count), str(count))
        return module("bench.generator.churn", *arguments, core=GENERATOR_CORE)

    return _beside(
        bench,
        place,
        coming_and_going,
        shape=f"channel of {members:,}, half of it comes and goes",
        others=members - members // 2,
        options={},
    )


def stuck(bench: Bench, place: Place) -> Iterator[Figure]:
    """One member of a channel has not read what it was sent before, and reads no more: all that
    comes waits for it. The limit is so large that it is not closed for that."""
    members = bench.effort.channel

    @contextmanager
    def reading_nothing(broker: Broker) -> Iterator[None]:
        backlog = post("/send?user=stuck&type=text", b"x" * MEBIBYTE)
        with (
            open_until_left(dial(broker.worker, [upgrade_as("stuck", ["news"])])),
            Caller(broker.api, 1) as caller,
        ):
            caller.run(repeat(backlog, BACKLOG), float("inf"))
            yield

    return _beside(
        bench,
        place,
        reading_nothing,
        shape=f"channel of {members:,}, one does not read",
        others=members - 1,
        options={"send_buffer_limit": "64MiB"},
    )


def _beside(
    bench: Bench,
    place: Place,
    trouble: Callable[[Broker], AbstractContextManager[object]],
    *,
    shape: str,
    others: int,
    options: dict[str, str],
) -> Iterator[Figure]:
    heads = [upgrade_as(f"user-{number}", ["news"]) for number in range(others)]
    path, due = "/send?channel=news&type=text", even(RATE, bench.effort.seconds * 2)
    requests = [post(path, numbered(number, len(BODY))) for number in range(len(due))]
    with ExitStack() as stack:
        broker = stack.enter_context(bench.brokers.started(place, **options))
        api = stack.enter_context(Open(broker.api, CALLERS))
        clients = stack.enter_context(open_until_left(dial(broker.worker, heads)))
        api.watch(clients, len(BODY))

        def measure() -> Sample:
            found, busy = busy_while(lambda: api.follow(requests, due, others))
            return Sample(percentile(sorted(found.delivered), 0.99) * 1000, generator=busy)

        calm, troubled = [], []
        for _ in range(bench.effort.rounds):
            settle(family(broker.pids))
            calm.append(measure())
            with trouble(broker):
                troubled.append(measure())
    yield Figure(
        shape=shape,
        place=place.value,
        name=f"p99 of the others, {RATE:g} sends/s",
        unit="ms",
        samples=tuple(troubled),
        floor="the same without",
        floor_samples=tuple(calm),
    )


def storm(bench: Bench, place: Place) -> Iterator[Figure]:
    """A worker is killed, and all its clients come to the other worker at once, where a channel
    of 100 is being sent to. The clients of the storm have a process on the generator's core."""
    crowd, others = bench.effort.crowd, 100
    rounds = [_storm(bench, place, others) for _ in range(bench.effort.rounds)]
    shape = f"{crowd:,} clients come over from a dead worker"
    yield Figure(
        shape=shape,
        place=place.value,
        name="p99 of the others meanwhile",
        unit="ms",
        samples=tuple(sample for sample, _, _ in rounds),
        wanted=Wanted("value", most=STORM_P99),
        floor="the same before",
        floor_samples=tuple(before for _, before, _ in rounds),
        note=f"a channel of {others}, {RATE:g} sends/s",
    )
    for index, name, unit, wanted in (
        (0, "until all are in", "s", None),
        (1, "refused at first", "clients", None),
        (2, "refused for good", "clients", Wanted("value", most=0)),
    ):
        yield Figure(
            shape=shape,
            place=place.value,
            name=name,
            unit=unit,
            samples=tuple(Sample(counts[index]) for _, _, counts in rounds),
            wanted=wanted,
        )


def _storm(bench: Bench, place: Place, others: int) -> tuple[Sample, Sample, list[float]]:
    crowd = bench.effort.crowd
    heads = [upgrade_as(f"user-{number}", ["news"]) for number in range(others)]
    # About as long as it takes to let them all in.
    due = even(RATE, max(1.0, crowd / 3000))
    path = "/send?channel=news&type=text"
    requests = [post(path, numbered(number, len(BODY))) for number in range(len(due))]
    with ExitStack() as stack:
        broker = stack.enter_context(bench.brokers.started(place))
        dying, port = stack.enter_context(bench.brokers.another_worker())
        api = stack.enter_context(Open(broker.api, CALLERS))
        clients = stack.enter_context(open_until_left(dial(broker.worker, heads)))
        api.watch(clients, len(BODY))
        arguments = (str(port), str(broker.worker), str(crowd))
        crowd_process = stack.enter_context(
            module("bench.generator.storm", *arguments, core=GENERATOR_CORE, speaks=True)
        )
        assert crowd_process.stdout
        assert crowd_process.stdout.readline() == b"open\n"
        settle(family(broker.pids))

        def measure() -> Sample:
            found, busy = busy_while(lambda: api.follow(requests, due, others))
            return Sample(percentile(sorted(found.delivered), 0.99) * 1000, generator=busy)

        before = measure()
        os.kill(dying, signal.SIGKILL)
        meanwhile = measure()
        counts = [float(one) for one in crowd_process.stdout.readline().split()]
    return meanwhile, before, counts
