"""Half of what a broker can do, for a long time; then everybody leaves, and so must all that was
there for them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from dsock.node import Role
from tests.soak.calls import Calls, call, capacity
from tests.soak.figures import Figures, at_most, clients, figures, grown
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
    "send_buffer_limit": "65536",
    "send_timeout": "3s",
    "ttl_duration": "10s",
    "drain_duration": "0s",
}
"""So that a minute has of all what a day has."""


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
    before: Figures = field(default_factory=dict)
    after: Figures = field(default_factory=dict)
    grown: list[dict[str, str]] = field(default_factory=list)


@asynccontextmanager
async def broker(
    redis: RedisServer | None, command: Sequence[str] = NODE
) -> AsyncIterator[list[Process]]:
    """One node on memory; with a Redis, two workers and an API, which is the last."""
    async with AsyncExitStack() as stack:
        if redis is None:
            nodes = [await stack.enter_async_context(process("serve", command=command, **OPTIONS))]
        else:
            options = {**OPTIONS, "redis_host": redis.address}
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
            rate = run.capacity / 2
            run.calls += await asyncio.to_thread(call, calls, port, rate, seconds)
            await coming
            run.guests += guests.came
            run.refused += guests.refused

    await loaded(0, effort.warm_up)
    run.before = at_most([await _resting(nodes, redis, effort.rest) for _ in range(3)])
    say(f"{run.capacity:,.0f} calls/s; at rest: {_shown(run.before)}")
    for number in range(1, effort.rounds + 1):
        await loaded(number, effort.load)
        more: dict[str, str] = {}

        async def as_before() -> bool:
            nonlocal more
            run.after = await figures(nodes, redis)
            more = grown(run.before, run.after)
            return not more

        if not await holds_within(as_before, effort.rest):
            run.grown.append(more)
        say(f"round {number}: {_shown(run.after)}; grown: {more or 'nothing'}")
    return run


async def _resting(nodes: Sequence[Process], redis: RedisServer | None, within: float) -> Figures:
    # Claims that nobody used, and routes that nobody needs, end a while after the clients.
    found: Figures = {}
    last: object = None

    async def still() -> bool:
        nonlocal found, last
        found = await figures(nodes, redis)
        same = found.get("keys") == last
        last = found.get("keys")
        return clients(found) == 0 and same

    assert await holds_within(still, within), "never at rest"
    return found


def _shown(found: Figures) -> str:
    return ", ".join(
        f"{name} {figure if isinstance(figure, int) else len(figure)}"
        for name, figure in found.items()
    )
