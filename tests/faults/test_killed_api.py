"""Promise 5 when the one who delivers dies: an API is killed in the middle of a send."""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.faults.support import of_method
from tests.support.cluster import TOKEN, Caller
from tests.support.eventually import eventually
from tests.support.listener import by_jwt, listeners
from tests.support.process import Process, processes
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("method")

SENDS, SENDERS, KILLS, EACH = 1000, 4, 3, 3

LONGEST_CALL = 0.004
"""Seconds that a send takes here, about: a kill comes so much later than a send begins, at most."""


class Backend:
    """Several senders that tell channel `news` numbered messages. Whoever fails goes on to the
    next API with its next message, and repeats nothing."""

    def __init__(self, apis: list[Process], callers: list[Caller], seed: int) -> None:
        self.taken: set[str] = set()
        """What was answered as taken by everybody."""
        self.unknown: list[str] = []
        """What was not answered: it may have been delivered, once."""
        self.refused: list[tuple[str, int, object]] = []
        self._apis = apis
        self._callers = callers
        self._random = random.Random(seed)
        self._kill_at = sorted(self._random.sample(range(SENDS // 10, SENDS * 9 // 10), KILLS))
        self._begun = 0
        self._first = 0
        """The first API that has not failed."""

    async def send_all(self) -> None:
        await asyncio.gather(*(self._send(sender) for sender in range(SENDERS)))

    async def _send(self, sender: int) -> None:
        for number in range(SENDS // SENDERS):
            self._begin()
            await self._tell(f"{sender}:{number}")

    def _begin(self) -> None:
        self._begun += 1
        if self._kill_at and self._begun == self._kill_at[0]:
            self._kill_at.pop(0)
            doomed = self._apis.pop(0)
            later = self._random.uniform(0, LONGEST_CALL)
            asyncio.get_running_loop().call_later(later, doomed.signal, signal.SIGKILL)

    async def _tell(self, message: str) -> None:
        asked = self._first
        try:
            reply = await self._callers[asked].send(message, channel="news")
        except httpx.TransportError:
            self._first = max(self._first, asked + 1)
            self.unknown.append(message)
            return
        if reply.status == 200 and reply.report["connections"] == 2 * EACH:
            self.taken.add(message)
        else:
            self.refused.append((message, reply.status, reply.json))


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_comes_twice_or_out_of_order_when_an_api_is_killed_in_mid_send(
    redis: RedisServer, seed: int
) -> None:
    options = {"redis_host": redis.address, "token": TOKEN, "report_timeout": "10s"}
    options |= of_method()
    async with (
        processes(KILLS + 1, "api", **options) as apis,
        processes(2, "worker", **options) as workers,
        AsyncExitStack() as stack,
    ):
        callers = [Caller(f"http://{await api.listening()}") for api in apis]
        for caller in callers:
            await stack.enter_async_context(caller.http)
        audience = []
        for worker in workers:
            queries = [by_jwt(f"user-{n}", "news") for n in range(EACH)]
            audience += await stack.enter_async_context(
                listeners(await worker.listening(), queries)
            )
        backend = Backend(list(apis), callers, seed)
        await backend.send_all()
        assert (await callers[-1].send("end", channel="news")).report["connections"] == 2 * EACH
        await eventually(lambda: all("end" in one.messages for one in audience))
    for one in audience:
        assert one.messages.pop() == "end"
        for sender in range(SENDERS):
            own = [int(m.split(":")[1]) for m in one.messages if m.startswith(f"{sender}:")]
            assert own == sorted(set(own))
        assert set(one.messages) >= backend.taken
        assert set(one.messages) <= backend.taken | set(backend.unknown)
    assert backend.refused == []
    assert len(backend.taken) + len(backend.unknown) == SENDS
    assert KILLS <= len(backend.unknown) <= KILLS * SENDERS
