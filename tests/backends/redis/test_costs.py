"""What things cost, counted and not timed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from typing import TypeVarTuple, Unpack

import pytest
import uvloop

from dsock.command import MessageType
from dsock.worker import frames
from dsock.worker.frames import encode_frame
from tests.backends.redis.counting import Count, CountedPipe, counting
from tests.support.cluster import Cluster, redis_cluster
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.wire import Wire, open_wire

Ts = TypeVarTuple("Ts")

FEW, MANY = 10, 200


@pytest.fixture(autouse=True)
def _counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsock.backends.redis.one_server.Pipe", CountedPipe)


@asynccontextmanager
async def wires(cluster: Cluster, count: int, worker: int = 0) -> AsyncIterator[list[Wire]]:
    """Clients that cost this loop nothing, in channel `news`."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                open_wire(
                    cluster.workers[worker],
                    f"claim={await cluster.api.claim('u', channels='news')}",
                )
            )
            for _ in range(count)
        ]


async def settled(count: Count) -> None:
    """Return once nothing more is asked for."""
    seen = -1

    def quiet() -> bool:
        nonlocal seen
        seen, before = len(count.commands), seen
        return seen == before

    await eventually(quiet)


async def test_a_connect_with_user_and_session_costs_nine_commands_in_three_trips(
    redis: RedisServer,
) -> None:
    costs = []
    async with redis_cluster(redis) as cluster:
        for number in range(3):
            # Each time another user, whose routes are yet to be opened.
            claim = await cluster.api.claim(f"u-{number}", session="s")
            with counting() as count:
                async with open_wire(cluster.workers[0], f"claim={claim}"):
                    await settled(count)
            costs.append((len(count.commands), count.trips))
    commands, trips = min(costs)
    assert 0 < commands <= 9
    assert 0 < trips <= 3


@pytest.mark.parametrize(("workers", "most"), [(1, 3), (2, 5)])
async def test_a_send_costs_commands_by_workers_not_by_connections(
    redis: RedisServer, workers: int, most: int
) -> None:
    costs = []
    async with redis_cluster(redis) as cluster, AsyncExitStack() as stack:
        for more in (1, MANY):
            for worker in range(workers):
                await stack.enter_async_context(wires(cluster, more, worker))
            counts = []
            # A beat or a look may come in between, but not each time, here as above.
            for _ in range(3):
                with counting() as count:
                    report = (await cluster.api.send("x", channel="news")).report
                    await settled(count)
                assert report["workers"] == workers
                counts.append(len(count.commands))
            costs.append(min(counts))
    assert costs[0] == costs[1] <= most


async def test_redis_itself_sees_no_more_commands_than_we_count(redis: RedisServer) -> None:
    sends = 100
    async with redis_cluster(redis) as cluster, wires(cluster, FEW):
        before = redis.commands()
        for _ in range(sends):
            await cluster.api.send("x", channel="news")
        each = (redis.commands() - before) / sends
    # A second's looks, beats and probes come on top.
    assert 3 <= each < 4


async def test_an_idle_connection_costs_no_task(redis: RedisServer) -> None:
    async with redis_cluster(redis) as cluster, wires(cluster, FEW):
        few = await least(tasks)
        async with wires(cluster, MANY - FEW):
            # Some come and go: what counts is that they are not as many as the connections.
            assert await least(tasks) <= few + FEW


async def least(count: Callable[[], int]) -> int:
    """What it is when all is quiet: the least of many looks."""
    found = count()
    for _ in range(50):
        await asyncio.sleep(0.01)
        found = min(found, count())
    return found


def tasks() -> int:
    return len(asyncio.all_tasks())


class TimedLoop(uvloop.Loop):
    """A loop that knows its timers."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[asyncio.TimerHandle] = []

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = super().call_later(delay, callback, *args, context=context)
        self.timers.append(timer)
        return timer

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_later(when - self.time(), callback, *args, context=context)

    def waiting(self) -> int:
        """How many timers will still go off."""
        now = self.time()
        self.timers = [t for t in self.timers if not t.cancelled() and t.when() > now]
        return len(self.timers)


def test_an_idle_connection_costs_no_timer(redis: RedisServer) -> None:
    async def idle(loop: TimedLoop) -> tuple[int, int]:
        async with redis_cluster(redis) as cluster, wires(cluster, FEW):
            few = await least(loop.waiting)
            async with wires(cluster, MANY - FEW):
                return few, await least(loop.waiting)

    loop = TimedLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        few, many = runner.run(idle(loop))
    assert 0 < many <= few + FEW


@pytest.mark.parametrize("type", ["text", "binary"])
async def test_a_message_is_encoded_once_for_all_its_receivers(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, type: str
) -> None:
    encoded: list[bytes] = []

    def counting_encode(type: MessageType, body: bytes) -> bytes:
        encoded.append(body)
        return encode_frame(type, body)

    monkeypatch.setattr(frames, "encode_frame", counting_encode)
    async with redis_cluster(redis) as cluster, wires(cluster, FEW) as receivers:
        assert (await cluster.api.send("x", type, channel="news")).report["connections"] == FEW
        assert [(await wire.frame()).body for wire in receivers] == [b"x"] * FEW
    assert encoded == [b"x"]
