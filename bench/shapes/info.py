"""`/info` of a channel with very many members."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import repeat

from bench.brokers import Place
from bench.effort import Bench
from bench.figures import Figure, Sample, interleaved
from bench.floors import floor
from bench.generator.calls import Caller
from bench.generator.dial import dial, open_until_left
from bench.generator.meter import metered
from bench.generator.requests import get, post, upgrade_as
from bench.generator.sends import BODY
from bench.shapes.users import FLOOR


def info(bench: Bench, place: Place) -> Iterator[Figure]:
    """Members that `/info` lists a second, and milliseconds for a call, one call at a time. The
    floor is a no-op POST, one at a time."""
    effort, members = bench.effort, bench.effort.crowd
    heads = [upgrade_as(f"user-{number}", ["news"]) for number in range(members)]
    with ExitStack() as stack:
        broker = stack.enter_context(bench.brokers.started(place))
        floor_pid, floor_port = stack.enter_context(floor("noop"))
        stack.enter_context(open_until_left(dial(broker.worker, heads)))
        caller = stack.enter_context(Caller(broker.api, 1, b'"user-%d"' % (members - 1)))
        nothing = stack.enter_context(Caller(floor_port, 1, b"ok"))
        taken = interleaved(
            effort.rounds,
            {
                "floor": lambda: metered(
                    lambda: nothing.run(repeat(post("/", BODY)), effort.seconds), [floor_pid]
                ),
                "info": lambda: metered(
                    lambda: caller.run(repeat(get("/info?channel=news")), effort.seconds),
                    broker.pids,
                    broker.redis,
                ),
            },
        )
    yield Figure(
        shape=f"/info of a channel of {members:,}",
        place=place.value,
        name="one call at a time",
        unit="calls/s",
        samples=taken["info"],
        floor=FLOOR,
        floor_samples=taken["floor"],
    )
    yield Figure(
        shape=f"/info of a channel of {members:,}",
        place=place.value,
        name="a call takes",
        unit="ms",
        samples=tuple(
            Sample(1000 / one.value, one.cpu, one.redis_cpu, one.generator) for one in taken["info"]
        ),
        floor=FLOOR,
        floor_samples=tuple(Sample(1000 / one.value, one.cpu) for one in taken["floor"]),
    )
