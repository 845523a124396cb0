"""The formulas of `docs/scaling.md`: what a load costs, from what each operation costs.

All of it is linear but for the looks: each node reads a row for each worker.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What one operation costs, or one second of something."""

    commands: float = 0.0
    """That Redis executes: those that a script calls are counted too."""
    bytes_in: float = 0.0
    bytes_out: float = 0.0
    """Into Redis and out of it, as it counts them: without the headers of TCP and IP."""
    redis: float = 0.0
    api: float = 0.0
    worker: float = 0.0
    """Microseconds of CPU; of all APIs, of all workers."""

    def __add__(self, other: Cost) -> Cost:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Cost(*(one + more for one, more in pairs))

    def __sub__(self, other: Cost) -> Cost:
        return self + other * -1

    def __mul__(self, times: float) -> Cost:
        return Cost(*(one * times for one in astuple(self)))


COUNTED, TIMED = ("commands", "bytes_in", "bytes_out"), ("redis", "api", "worker")


def usual(costs: Sequence[Cost]) -> Cost:
    """Of several rounds: the median of what is counted, and the least CPU, to which others who
    use the machine can only add."""
    return Cost(
        *(statistics.median(getattr(one, name) for one in costs) for name in COUNTED),
        *(min(getattr(one, name) for one in costs) for name in TIMED),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What was measured: each for one. Connections are in one channel."""

    claim: Cost
    connect_jwt: Cost
    connect_claim: Cost
    leave: Cost
    """A client goes; its routes are closed too."""
    subscribe: Cost
    unsubscribe: Cost
    route: Cost
    """A send to whom nobody is connected: the call, and the look at the route."""
    told: Cost
    """What the first worker that is told adds, its answer for the report included; no body."""
    told_quiet: Cost
    """The same with `report=false`."""
    kibibyte: Cost
    """What each KiB of the body adds, for each worker that is told."""
    delivery: Cost
    """What each connection that gets it adds."""
    refresh: Cost
    """A connection's record is written again."""
    redis_second: Cost
    """Redis with nobody connected."""
    api_second: Cost
    worker_second: Cost
    """A node that has nothing to do."""
    row: Cost
    """What each worker adds to each look of each node."""
    more: Cost = Cost()
    """What each further worker that is told adds: its letter leaves together with the first."""
    more_quiet: Cost = Cost()
    """The same with `report=false`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What happens: numbers are per second, where nothing else is said."""

    workers: int = 1
    apis: int = 1
    connections: float = 0.0
    """That are open."""
    ttl_duration: float = 60.0
    ping_interval: float = 60.0
    """Seconds; infinite for none."""
    claims: float = 0.0
    connects_jwt: float = 0.0
    connects_claim: float = 0.0
    leaves: float = 0.0
    subscribes: float = 0.0
    unsubscribes: float = 0.0
    sends: float = 0.0
    told: float = 1.0
    """Workers that each send is told to."""
    receivers: float = 1.0
    """Connections that each send gets to."""
    body: float = 0.0
    """Bytes."""
    report: bool = True

    @property
    def refreshes(self) -> float:
        """Each period once, and once for each pong that is answered."""
        return self.connections * (1 / self.ttl_duration + 1 / self.ping_interval)


def of_a_send(costs: Costs, load: Load) -> Cost:
    first = costs.told if load.report else costs.told_quiet
    more = costs.more if load.report else costs.more_quiet
    letters = first * min(load.told, 1.0) + more * max(load.told - 1.0, 0.0)
    body = costs.kibibyte * (load.body / 1024 * load.told)
    return costs.route + letters + body + costs.delivery * load.receivers


def of_nodes(costs: Costs, workers: int, apis: int) -> Cost:
    """A second in which nothing happens."""
    looks = costs.row * (workers * (workers + apis))
    nodes = costs.worker_second * workers + costs.api_second * apis
    return costs.redis_second + nodes + looks


def of_a_second(costs: Costs, load: Load) -> Cost:
    """All that a second of this load costs."""
    return (
        of_nodes(costs, load.workers, load.apis)
        + costs.refresh * load.refreshes
        + costs.claim * load.claims
        + costs.connect_jwt * load.connects_jwt
        + costs.connect_claim * load.connects_claim
        + costs.leave * load.leaves
        + costs.subscribe * load.subscribes
        + costs.unsubscribe * load.unsubscribes
        + of_a_send(costs, load) * load.sends
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes of Redis. Every connection has a user of its own, and no session."""

    connection: float
    """Without channels."""
    membership: float
    """For each channel that a connection is in."""
    long: float
    """More, for a connection whose channels take more than `LONG` bytes."""
    channel: float
    """For each channel that somebody is in, and each worker that holds somebody in it."""
    claim: float
    """In one channel."""


LONG = 64
"""Bytes of a field from which Redis keeps a record in another form
(`hash-max-listpack-value`)."""


def memory(
    costs: Memory,
    connections: int,
    channels: Sequence[str],
    in_all: int,
    claims: int = 0,
) -> float:
    """Of so many connections in these channels each. `in_all` are those that somebody is in,
    counted once for each worker that holds one of their members."""
    each = costs.connection + len(channels) * costs.membership
    if len(",".join(channels)) > LONG:
        each += costs.long
    return connections * each + in_all * costs.channel + claims * costs.claim
