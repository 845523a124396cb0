"""A token and a JWT secret are replaced while callers and clients go on: nobody is refused."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import connect

from tests.support.cluster import Caller, direct, node_up
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

OLD = {"token": "old-token", "jwt_secret": "old-secret-0123456789abcdef012345"}
NEW = {"token": "new-token", "jwt_secret": "new-secret-0123456789abcdef012345"}


class Pool:
    """Nodes behind a load balancer: one is replaced by another before it stops."""

    def __init__(self, role: Any, **settings: Any) -> None:
        self._address = ""
        self._used: Counter[str] = Counter()
        self._unused = asyncio.Event()
        self._role = role
        self._settings = settings
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def up(self, secrets: dict[str, tuple[str, ...]]) -> AsyncIterator[None]:
        try:
            await self.replace(secrets)
            yield
        finally:
            await self._stack.aclose()

    async def replace(self, secrets: dict[str, tuple[str, ...]]) -> None:
        """A node with these secrets takes over; the one before it ends what it has begun."""
        before, self._stack = self._stack, AsyncExitStack()
        node = node_up(self._role, **self._settings, **secrets)
        old = self._address
        _, self._address = await self._stack.enter_async_context(node)
        while self._used[old]:
            self._unused.clear()
            await self._unused.wait()
        await before.aclose()

    @asynccontextmanager
    async def address(self) -> AsyncIterator[str]:
        """Where to go now; the node is there until this context ends."""
        address = self._address
        self._used[address] += 1
        try:
            yield address
        finally:
            self._used[address] -= 1
            self._unused.set()


class Load:
    """A back end and its users, who show what `secrets` says."""

    def __init__(self, apis: Pool, workers: Pool) -> None:
        self.secrets = OLD
        self.counts: Counter[object] = Counter()
        self._apis = apis
        self._workers = workers

    async def call(self) -> None:
        """One call and one connection with a JWT."""
        async with self._apis.address() as address:
            caller = Caller(f"http://{address}", self.secrets["token"])
            async with caller.http:
                reply = await caller.call("GET", "/info", user="nobody")
        self.counts[reply.status] += 1
        token = jwt.encode({"sub": "u", "exp": time.time() + 60}, self.secrets["jwt_secret"])
        async with (
            self._workers.address() as address,
            connect(f"ws://{address}/connect?jwt={token}"),
        ):
            self.counts["connected"] += 1

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Call after call inside this context; fails if one of them has failed."""
        stop = asyncio.Event()

        async def go_on() -> None:
            while not stop.is_set():
                await self.call()

        callers = [asyncio.create_task(go_on()) for _ in range(3)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*callers)

    async def more(self) -> None:
        """Return once a few more have got through."""
        so_far = self.counts["connected"]
        await eventually(lambda: self.counts["connected"] > so_far + 10)


def both(first: dict[str, str], second: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {name: (first[name], second[name]) for name in first}


def one(only: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {name: (value,) for name, value in only.items()}


@pytest.mark.parametrize("method", ["redis", "direct"])
async def test_both_secrets_are_replaced_under_load_without_one_refused_call(
    redis: RedisServer, method: str
) -> None:
    settings = {"redis_host": redis.address, **(direct() if method == "direct" else {})}
    workers, apis = Pool("worker", **settings), Pool("api", **settings)
    async with workers.up(one(OLD)), apis.up(one(OLD)):
        load = Load(apis, workers)
        async with load.going_on():
            await load.more()
            # Nodes learn the new ones, then callers use them, then nodes forget the old ones.
            for pool in (workers, apis):
                await pool.replace(both(OLD, NEW))
                await load.more()
            load.secrets = NEW
            await load.more()
            for pool in (apis, workers):
                await pool.replace(one(NEW))
                await load.more()
        assert set(load.counts) == {200, "connected"}

        async with apis.address() as address:
            stale = Caller(f"http://{address}", OLD["token"])
            async with stale.http:
                assert (await stale.call("GET", "/info", user="u")).status == 401


async def test_with_direct_messaging_commands_arrive_while_the_token_is_replaced(
    redis: RedisServer,
) -> None:
    settings = {"redis_host": redis.address, **direct()}
    api = Pool("api", **settings)
    steps = itertools.count()
    async with (
        node_up("worker", **settings, **both(OLD, NEW)) as (_, worker),
        api.up(one(OLD)),
    ):
        token = jwt.encode({"sub": "u", "exp": time.time() + 60}, OLD["jwt_secret"])
        async with connect(f"ws://{worker}/connect?jwt={token}") as client:
            for secrets, shown in ((one(OLD), OLD), (both(NEW, OLD), OLD), (one(NEW), NEW)):
                await api.replace(secrets)
                async with api.address() as address:
                    caller = Caller(f"http://{address}", shown["token"])
                async with caller.http:
                    text = str(next(steps))
                    assert (await caller.send(text, user="u")).report["connections"] == 1
                    assert await client.recv() == text
