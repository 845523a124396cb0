"""How long a message is on its way, at several loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import repeat
from statistics import median

from bench.brokers import Broker, Place
from bench.effort import Bench
from bench.figures import Figure, Sample, Wanted, percentile
from bench.floors import floor
from bench.generator.calls import Caller
from bench.generator.dial import dial, open_until_left
from bench.generator.meter import busy_while
from bench.generator.receivers import Receivers
from bench.generator.requests import frame_size, post, upgrade_as
from bench.generator.schedule import Latencies, Open, at_random, even, numbered
from bench.generator.sends import BODY, sends

LOADS = (0.1, 0.5, 0.9)
"""Parts of the capacity."""

HALF = "50%"

CONNECTIONS = 64
"""To the API; a send waits for a free one, and its latency counts on."""

USER_P99 = 5.0
"""Milliseconds that are wanted at half load."""

QUANTILES: dict[str, Callable[[Sequence[float]], float]] = {
    "p50": lambda ordered: percentile(ordered, 0.5),
    "p99": lambda ordered: percentile(ordered, 0.99),
    "max": lambda ordered: ordered[-1],
}

Times = Callable[[float, float], list[float]]


def to_user(bench: Bench, place: Place) -> Iterator[Figure]:
    """Milliseconds from the time of a send until its one client has it. The capacity is what 16
    sends in flight reach. The floor is how long a no-op POST takes at the same times."""
    with ExitStack() as stack:
        broker = stack.enter_context(bench.brokers.started(place))
        _, floor_port = stack.enter_context(floor("noop"))
        product = stack.enter_context(Open(broker.api, CONNECTIONS))
        nothing = stack.enter_context(Open(floor_port, CONNECTIONS))
        clients = stack.enter_context(open_until_left(dial(broker.worker, [upgrade_as("1")])))
        path = "/send?user=1&type=text"
        rate = _capacity(bench, broker, path, len(clients), Receivers(clients), in_flight=16)
        product.watch(clients, len(BODY))
        for load, times, name in _loads():
            ours, floors = [], []
            for _ in range(bench.effort.rounds):
                due = times(rate * load, bench.effort.seconds)
                floors.append(_follow(nothing, "/", due, copies=0))
                ours.append(_follow(product, path, due, copies=1))
            for quantile in QUANTILES:
                promised = quantile == "p99" and name == HALF
                yield Figure(
                    shape="latency to one user",
                    place=place.value,
                    name=f"{quantile} at {name}",
                    unit="ms",
                    samples=_samples([(one.delivered, busy) for one, busy in ours], quantile),
                    floor="no-op POST",
                    floor_samples=_samples(
                        [(list(one.answered.values()), busy) for one, busy in floors], quantile
                    ),
                    wanted=Wanted("value", most=USER_P99) if promised else None,
                    note=f"of {rate:,.0f} sends/s{_late(ours)}",
                    load=load if times is even else None,
                )


def to_channel(bench: Bench, place: Place) -> Iterator[Figure]:
    """Milliseconds from the time of a send until each member has it. The capacity is what one
    send at a time reaches: no write is joined with another's. The floor is the time in which
    that capacity brings one message to all members."""
    members = bench.effort.channel
    heads = [upgrade_as(f"user-{number}", ["news"]) for number in range(members)]
    with ExitStack() as stack:
        broker = stack.enter_context(bench.brokers.started(place))
        product = stack.enter_context(Open(broker.api, CONNECTIONS))
        clients = stack.enter_context(open_until_left(dial(broker.worker, heads)))
        path = "/send?channel=news&type=text"
        rate = _capacity(bench, broker, path, members, Receivers(clients, prompt=True), in_flight=1)
        product.watch(clients, len(BODY))
        for load, times, name in _loads():
            follow = partial(_follow, product, path, copies=members)
            due = times(rate * load, bench.effort.seconds)
            taken = [follow(due) for _ in range(bench.effort.rounds)]
            for quantile in QUANTILES:
                promised = quantile == "p99" and name == HALF
                yield Figure(
                    shape=f"latency to a channel of {members:,}",
                    place=place.value,
                    name=f"{quantile} at {name}",
                    unit="ms",
                    samples=_samples([(one.delivered, busy) for one, busy in taken], quantile),
                    floor="members / capacity",
                    floor_samples=tuple(repeat(Sample(1000 / rate), len(taken))),
                    wanted=Wanted("ratio", most=2.0) if promised else None,
                    note=f"of {rate * members:,.0f} deliveries/s{_late(taken)}",
                    load=load if times is even else None,
                )


def _loads() -> Iterator[tuple[float, Times, str]]:
    for load in LOADS:
        yield load, even, f"{load:.0%}"
    yield 0.5, at_random, f"{HALF}, at random"


def _capacity(
    bench: Bench, broker: Broker, path: str, copies: int, receivers: Receivers, in_flight: int
) -> float:
    """Sends a second: the median of the rounds."""
    effort, size = bench.effort, frame_size(len(BODY))
    with Caller(broker.api, in_flight) as caller:
        calls = repeat(post(path, BODY))
        taken = [
            sends(broker, caller, calls, effort.seconds, receivers, copies=copies, size=size)
            for _ in range(effort.rounds)
        ]
    return median(one.value for one in taken) / copies


def _follow(product: Open, path: str, due: list[float], copies: int) -> tuple[Latencies, float]:
    requests = [post(path, numbered(number, len(BODY))) for number in range(len(due))]
    return busy_while(lambda: product.follow(requests, due, copies))


def _samples(taken: Sequence[tuple[Sequence[float], float]], quantile: str) -> tuple[Sample, ...]:
    return tuple(
        Sample(QUANTILES[quantile](sorted(seconds)) * 1000, generator=busy)
        for seconds, busy in taken
    )


def _late(taken: Sequence[tuple[Latencies, float]]) -> str:
    """How late the generator itself was, which is part of the latency."""
    late = sorted(seconds for one, _ in taken for seconds in one.late)
    return f"; sent late by {percentile(late, 0.99) * 1000:.2g} ms at p99"
