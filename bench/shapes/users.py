"""Sends to single users, each with one connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import cycle, repeat

from bench.brokers import Place
from bench.effort import Bench
from bench.figures import Figure, Sample, Wanted, interleaved
from bench.floors import floor
from bench.generator.calls import Caller
from bench.generator.dial import dial, open_until_left
from bench.generator.meter import metered
from bench.generator.receivers import Receivers
from bench.generator.requests import frame_size, post, upgrade_as
from bench.generator.sends import BODY, sends

FLOOR = "no-op POST"

REPORT = b'"connections":1,"dropped":0,"unanswered":0'

ORIGINAL_OVER_REDIS = 9000.0
"""Sends a second that are wanted where the Go original makes 8,000 without a report."""


def one_user(bench: Bench, place: Place) -> Iterator[Figure]:
    return _users(bench, place, "one user", 1, (1, 16, 64))


def many_users(bench: Bench, place: Place) -> Iterator[Figure]:
    count = bench.effort.users
    return _users(bench, place, f"{count:,} users, one after the other", count, (16,))


def _users(
    bench: Bench, place: Place, shape: str, count: int, in_flight: tuple[int, ...]
) -> Iterator[Figure]:
    """Sends a second, each with its report. The floor has as many calls in flight, on as many
    connections, one each."""
    effort, size = bench.effort, frame_size(len(BODY))
    users = [f"user-{number}" for number in range(count)]
    requests = cycle([post(f"/send?user={user}&type=text", BODY) for user in users])
    nothing = repeat(post("/", BODY))
    with ExitStack() as stack:
        broker = stack.enter_context(bench.brokers.started(place))
        floor_pid, floor_port = stack.enter_context(floor("noop"))
        heads = [upgrade_as(user) for user in users]
        clients = stack.enter_context(open_until_left(dial(broker.worker, heads)))
        receivers = Receivers(clients)

        def send(caller: Caller) -> Sample:
            return sends(broker, caller, requests, effort.seconds, receivers, copies=1, size=size)

        def post_nothing(caller: Caller) -> Sample:
            return metered(lambda: caller.run(nothing, effort.seconds), [floor_pid])

        measurements = {}
        for number in in_flight:
            callers = [
                stack.enter_context(Caller(floor_port, number, b"ok")),
                stack.enter_context(Caller(broker.api, number, REPORT)),
            ]
            measurements[f"floor {number}"] = partial(post_nothing, callers[0])
            measurements[f"sends {number}"] = partial(send, callers[1])
        taken = interleaved(effort.rounds, measurements)
    for number in in_flight:
        yield Figure(
            shape=shape,
            place=place.value,
            name=_named(number),
            unit="sends/s",
            samples=taken[f"sends {number}"],
            floor=FLOOR,
            floor_samples=taken[f"floor {number}"],
            wanted=_wanted(place, shape, number),
        )


def _wanted(place: Place, shape: str, in_flight: int) -> Wanted | None:
    if shape != "one user":
        return None
    if place is Place.MEMORY:
        return Wanted("ratio", least=0.6)
    if place is Place.REDIS and in_flight == 64:
        return Wanted("value", least=ORIGINAL_OVER_REDIS)
    return None


def _named(in_flight: int) -> str:
    return "one send at a time" if in_flight == 1 else f"{in_flight} sends in flight"
