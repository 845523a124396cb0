"""What a send to a channel costs in Redis, however many connections the channel has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from bench.brokers import Place
from bench.effort import Bench
from bench.figures import Figure, Sample, Wanted, interleaved
from bench.generator.dial import dial, open_until_left
from bench.generator.receivers import Receivers
from bench.generator.requests import get, post, upgrade_as
from bench.generator.schedule import Open, even
from bench.generator.sends import BODY
from bench.machine import cpu_seconds

RATE = 8.0
"""Sends a second: few enough for one core to bring each to all members."""

FEW = 100
"""Connections to one of the large channel."""

QUIET = {"ttl_duration": "6h"}
"""So that records are not refreshed meanwhile."""


def redis_cost(bench: Bench, place: Place) -> Iterator[Figure]:
    """Microseconds of the CPU of Redis for one send to a channel whose members are on two
    workers, beyond what Redis does anyway: that is measured with as many pings of the API. The
    floor is a send to a channel with a hundredth of the members."""
    members = bench.effort.crowd
    due = even(RATE, 2 * bench.effort.seconds)
    calls = {
        "nothing": get("/ping"),
        "few": post("/send?channel=few&type=text", BODY),
        "many": post("/send?channel=many&type=text", BODY),
    }
    with ExitStack() as stack:
        broker = stack.enter_context(bench.brokers.started(place, **QUIET))
        _, second = stack.enter_context(bench.brokers.another_worker(**QUIET))
        api = stack.enter_context(Open(broker.api, 16))
        clients = []
        for port in (broker.worker, second):
            heads = [upgrade_as(f"{port}-{number}", ["many"]) for number in range(members // 2)]
            heads += [upgrade_as(f"{port}-few-{n}", ["few"]) for n in range(members // 2 // FEW)]
            clients += stack.enter_context(open_until_left(dial(port, heads)))
        receivers = Receivers(clients)

        def spent(request: bytes) -> Sample:
            receivers.empty()
            before = cpu_seconds([broker.redis] if broker.redis else [])
            api.follow([request] * len(due), due, copies=0)
            return Sample(cpu_seconds([broker.redis] if broker.redis else []) - before)

        taken = interleaved(
            bench.effort.rounds, {name: partial(spent, call) for name, call in calls.items()}
        )
    yield Figure(
        shape=f"a send to a channel of {members:,} on two workers",
        place=place.value,
        name="CPU of Redis",
        unit="us",
        samples=_beyond(taken["many"], taken["nothing"], len(due)),
        floor=f"to a channel of {members // FEW:,}",
        floor_samples=_beyond(taken["few"], taken["nothing"], len(due)),
        wanted=Wanted("ratio", most=1.2),
    )


def _beyond(spent: Sequence[Sample], anyway: Sequence[Sample], sends: int) -> tuple[Sample, ...]:
    pairs = zip(spent, anyway, strict=True)
    return tuple(Sample((one.value - other.value) / sends * 1e6) for one, other in pairs)
