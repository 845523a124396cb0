"""A deploy: every node is restarted, one after the other, and nobody is told of an error."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from dsock.node import Role
from tests.faults.rolling import BackEnd, Balancer, Visitor, running
from tests.faults.support import keys, of_method
from tests.support.cluster import TOKEN
from tests.support.eventually import eventually
from tests.support.process import Process, process
from tests.support.redis_server import RedisServer

VISITORS, PASSERS_BY = 200, 20

AWAY = 5.0
"""Seconds that a client is away, at most, but for one in a hundred."""

DRAIN = {"drain_delay": "4s", "drain_duration": "3s"}
"""The delay is longer than a balancer on a busy machine needs to see that a node is not ready."""

# Five nodes go and come, each in its time.
pytestmark = pytest.mark.timeout(240)


class Nodes:
    """All nodes of one role, behind a balancer."""

    def __init__(self, role: Role, stack: AsyncExitStack, **options: str) -> None:
        self.balancer = Balancer()
        self._role: Role = role
        self._stack = stack
        self._options = options
        self._up: list[tuple[Process, str]] = []

    async def start(self) -> None:
        """Start one more; returns once the balancer sends to it."""
        started = await self._stack.enter_async_context(process(self._role, **self._options))
        address = await started.listening()
        self._up.append((started, address))
        self.balancer.nodes.add(address)
        await eventually(lambda: self.balancer.has(address))

    async def restart_each(self) -> None:
        """Stop the oldest and start another in its place, until none is the same."""
        for _ in tuple(self._up):
            stopping, address = self._up.pop(0)
            stopping.signal(signal.SIGTERM)
            assert await stopping.ended() == 0
            self.balancer.nodes.discard(address)
            await self.start()


@pytest.mark.usefixtures("method")
async def test_a_restart_of_every_node_is_no_error_and_clients_are_away_5_s_at_most(
    redis: RedisServer,
) -> None:
    options = {"redis_host": redis.address, "token": TOKEN, "report_timeout": "10s"}
    options |= {**of_method(), **DRAIN}
    async with AsyncExitStack() as stack:
        workers, apis = (Nodes(role, stack, **options) for role in ("worker", "api"))
        back_end = BackEnd(apis.balancer)
        stack.push_async_callback(back_end.close)
        around = workers.balancer, back_end
        claims = [{"user": f"user-{n}", "channels": "news"} for n in range(VISITORS)]
        visitors = [Visitor(claim, *around) for claim in claims]
        # Somebody comes at every moment, also while a worker begins to stop.
        passers_by = [Visitor({"user": "passer-by"}, *around, stay=1) for _ in range(PASSERS_BY)]
        async with running(workers.balancer.run(), apis.balancer.run()):
            for nodes, count in ((workers, 3), (apis, 2)):
                for _ in range(count):
                    await nodes.start()
            async with running(*(visitor.run() for visitor in visitors + passers_by)):
                await eventually(lambda: all(visitor.inside for visitor in visitors))
                async with running(back_end.run(VISITORS)):
                    await workers.restart_each()
                    await apis.restart_each()

                async def all_are_told() -> bool:
                    return await back_end.tell() == VISITORS

                await eventually(all_are_told)
                last = len(back_end.counted) - 1
                await eventually(lambda: all(visitor.latest == last for visitor in visitors))
        assert len([key for key in keys(redis) if key.startswith("worker:")]) == 3
        assert back_end.statuses.keys() == {200}
        assert back_end.unanswered == 0
        assert sum((visitor.refusals for visitor in visitors + passers_by), Counter()) == {}
        assert {code for visitor in visitors for code in visitor.codes} == {1012}
        away = sorted(time for visitor in visitors for time in visitor.away)
        assert len(away) >= VISITORS
        assert away[len(away) * 99 // 100] < AWAY
        for visitor in visitors:
            assert visitor.heard == sorted(set(visitor.heard))
        heard = Counter(number for visitor in visitors for number in visitor.heard)
        for number, counted in enumerate(back_end.counted):
            assert heard[number] >= counted
