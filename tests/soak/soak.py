"""Half of what a broker can do, for a long time; then everybody leaves, and so must all that was
there for them."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from dsock.node import Role
from tests.soak.calls import Calls, call, capacity
from tests.soak.figures import Figures, at_least, figures, grown, with_memory
from tests.soak.guests import Guests
from tests.support.cluster import Caller
from tests.support.eventually import holds_within
from tests.support.process import Process, process
from tests.support.redis_server import RedisServer

CHURN = 50.0
"""Clients that come in a second, and as many that leave."""

ROLES: tuple[Role, ...] = ("worker", "worker", "api")

NODE = (sys.executable, "-m", "tests.soak.node")

OPTIONS = {
    "ping_interval": "3s",
    "ping_timeout": "3s",
    "send_buffer_limit": "8192",
    "send_timeout": "3s",
    "ttl_duration": "10s",
    "drain_duration": "0s",
    "report_timeout": "20s",
}
"""So that a minute has of all what a day has, and no call fails for the machine being busy."""

LEAST_RATE = 80.0
"""Calls in a second, even if it could bear next to none while that was measured."""


_CLOSED = re.compile(r'dsock_connections_closed_total{reason="(\w+)"} (\S+)')


SETTLING = 2.0
"""Seconds in which the least of each figure is what there is of it at rest: some come and go."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Times in seconds: of measuring what it can do, of warming up, of each round of load, and
    of the rest behind it within which all must be as before."""

    measure: float = 1.5
    warm_up: float = 6.0
    load: float = 12.0
    rounds: int = 1
    rest: float = 40.0


@dataclass(slots=True)
class Run:
    """What became of one: `grown` by figure, for each round in which any had."""

    capacity: float = 0.0
    """Calls a second."""
    calls: int = 0
    guests: int = 0
    refused: int = 0
    away: int = 0
    before: Figures = field(default_factory=dict)
    after: Figures = field(default_factory=dict)
    grown: list[dict[str, str]] = field(default_factory=list)
    closed: Counter[str] = field(default_factory=Counter)
    """Connections that were closed, by the reason that metrics give."""


@asynccontextmanager
async def broker(
    redis: RedisServer | None, command: Sequence[str] = NODE
) -> AsyncIterator[list[Process]]:
    """One node on memory; with a Redis, two workers and an API, which is the last."""
    async with AsyncExitStack() as stack:
        if redis is None:
            nodes = [await stack.enter_async_context(process("serve", command=command, **OPTIONS))]
        else:
            options = {**OPTIONS, "redis_host": redis.address, "redis_timeout": "20s"}
            nodes = [
                await stack.enter_async_context(process(role, command=command, **options))
                for role in ROLES
            ]
        for node in nodes:
            await node.listening()
        yield nodes


async def soak(
    nodes: Sequence[Process],
    redis: RedisServer | None,
    effort: Effort,
    say: Callable[[str], None] = lambda _: None,
) -> Run:
    """Load a broker, and look whether all is as it was before."""
    run = Run()
    api = await nodes[-1].listening()
    port = int(api.rpartition(":")[2])
    workers = [await node.listening() for node in nodes[: max(1, len(nodes) - 1)]]

    async def loaded(round: int, seconds: float) -> None:
        caller = Caller(f"http://{api}")
        async with caller.http:
            guests = Guests(caller, workers, round)
            calls = Calls(guests, round)
            coming = asyncio.create_task(guests.come(CHURN, seconds))
            if not run.capacity:
                run.capacity = await asyncio.to_thread(capacity, calls, port, effort.measure)
            rate = max(run.capacity / 2, LEAST_RATE)
            run.calls += await asyncio.to_thread(call, calls, port, rate, seconds)
            await coming
            run.guests += guests.came
            run.refused += guests.refused
            run.away += guests.away

    fresh = await _resting(nodes, redis)
    await loaded(0, effort.warm_up)
    # Memory is what it is once everything has been done; all else is as if nothing had been.
    run.before = with_memory(fresh, await figures(nodes, redis))
    say(f"{run.capacity:,.0f} calls/s; at rest: {_shown(run.before)}")
    for number in range(1, effort.rounds + 1):
        await loaded(number, effort.load)
        more: dict[str, str] | None = None

        async def as_before() -> bool:
            nonlocal more
            run.after = await figures(nodes, redis)
            now = grown(run.before, run.after)
            # Each figure comes and goes by itself: once back is back.
            more = {name: now[name] for name in now if more is None or name in more}
            return not more

        if not await holds_within(as_before, effort.rest):
            run.grown.append(more or {})
        say(f"round {number}: {_shown(run.after)}; grown: {more or 'nothing'}")
    for worker in workers:
        run.closed += await _closed(worker)
    return run


async def _closed(worker: str) -> Counter[str]:
    caller = Caller(f"http://{worker}")
    async with caller.http:
        metrics = (await caller.http.get("/metrics")).text
    counted = {one[1]: int(float(one[2])) for one in _CLOSED.finditer(metrics)}
    return Counter({reason: count for reason, count in counted.items() if count})


async def _resting(nodes: Sequence[Process], redis: RedisServer | None) -> Figures:
    end = asyncio.get_running_loop().time() + SETTLING
    found = await figures(nodes, redis)
    while asyncio.get_running_loop().time() < end:
        found = at_least(found, await figures(nodes, redis))
    return found


def _shown(found: Figures) -> str:
    return ", ".join(
        f"{name} {figure if isinstance(figure, int) else len(figure)}"
        for name, figure in found.items()
        if figure
    )
