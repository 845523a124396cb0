"""What the tests of faults watch while something is broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from typing import Any

from websockets.asyncio.client import ClientConnection

from dsock.backends.redis.backend import RedisBackend
from dsock.node import Role
from tests.support.cluster import Caller, Cluster, node_up
from tests.support.eventually import eventually
from tests.support.redis_server import Servers

END = "end"

METHOD = "redis"
"""The `messaging_method` of clusters; the fixture `method` sets it for a test."""

HELD_UP = 3.0
"""Seconds for which a node may not be ready when the machine has held up a look."""

EACH = 5
"""Clients of an audience on each of the two workers."""

_ROLES: tuple[Role, ...] = ("worker", "worker", "api")


def keys(server: Servers) -> set[str]:
    """All keys but the marks of those who were declared gone, which end after a day."""
    present = server.keys()
    return {key for key in present if not key.startswith("reaped:")}


def known_workers(cluster: Cluster) -> set[str]:
    """Whom the first API has seen beat."""
    [backend] = [
        node.backend for node in cluster.nodes if node.worker is None and node.backend is not None
    ][:1]
    assert isinstance(backend, RedisBackend)
    return backend._watch.workers


async def shown(cluster: Cluster, user: str) -> int:
    """How many connections of a user `/info` shows."""
    return len((await cluster.api.info(user=user))["connections"])


async def goodbye(client: ClientConnection, within: float) -> int | None:
    """The code with which a client is closed."""
    async with asyncio.timeout(within):
        await client.wait_closed()
    return client.close_code


async def ready(cluster: Cluster) -> list[bool]:
    """What `/ready` says: workers, then APIs."""

    async def ask(url: str) -> bool:
        caller = Caller(url, token=None)
        async with caller.http:
            return (await caller.call("GET", "/ready")).status == 200

    urls = [f"http://{address}" for address in cluster.workers]
    urls += [caller.url for caller in cluster.apis]
    return await asyncio.gather(*map(ask, urls))


async def all_ready(cluster: Cluster) -> bool:
    return all(await ready(cluster))


async def none_ready(cluster: Cluster) -> bool:
    return not any(await ready(cluster))


def of_method() -> dict[str, str]:
    """The options that nodes of this test have in common."""
    return {"messaging_method": METHOD, "direct_message_hostname": "127.0.0.1"}


def cluster_at(address: str, **settings: Any) -> AbstractAsyncContextManager[Cluster]:
    """An API and two workers in this process, with the Redis at this address."""
    return cluster_with(redis_host=address, **settings)


@asynccontextmanager
async def cluster_with(**settings: Any) -> AsyncIterator[Cluster]:
    """The same, with the Redis that these settings name."""
    options: dict[str, Any] = {**of_method(), **settings}
    async with AsyncExitStack() as stack:
        up = [await stack.enter_async_context(node_up(role, **options)) for role in _ROLES]
        nodes, addresses = [node for node, _ in up], [address for _, address in up]
        caller = Caller(f"http://{addresses[-1]}")
        await stack.enter_async_context(caller.http)
        yield Cluster("redis", [caller], addresses[:-1], nodes)


@asynccontextmanager
async def clients(
    cluster: Cluster, count: int, user: str, worker: int = 0, **claim: Any
) -> AsyncIterator[list[ClientConnection]]:
    """Several clients of one user on one worker."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(cluster.client(user, worker, **claim))
            for _ in range(count)
        ]


@asynccontextmanager
async def audience(cluster: Cluster) -> AsyncIterator[list[ClientConnection]]:
    """Clients on both workers, in channel `news`."""
    async with (
        clients(cluster, EACH, "u", worker=0, channels="news") as here,
        clients(cluster, EACH, "u", worker=1, channels="news") as there,
    ):
        yield here + there


class Teller:
    """Tells channel `news` number after number, and remembers what it was answered."""

    def __init__(self, cluster: Cluster, audience: Sequence[ClientConnection]) -> None:
        self._cluster = cluster
        self._audience = audience
        self._told = 0
        self.counted: dict[str, int] = {}
        """By message: how many connections took it, so it was said."""
        self.answered: list[int] = []
        """The statuses of all answers."""

    @property
    def statuses(self) -> set[int]:
        return set(self.answered)

    async def tell(self) -> bool:
        """Tell the next number; whether everybody is said to have taken it."""
        self._told += 1
        reply = await self._cluster.api.send(str(self._told), channel="news")
        self.answered.append(reply.status)
        if reply.status != 200:
            return False
        self.counted[str(self._told)] = reply.report["connections"]
        return reply.report["connections"] == len(self._audience)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Go on telling inside this context."""

        async def tell() -> None:
            while True:
                await self.tell()
                await asyncio.sleep(0.01)

        task = asyncio.create_task(tell())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def check(self) -> None:
        """Nobody was told anything twice or out of order, and all that was counted is true."""

        async def ended() -> bool:
            reply = await self._cluster.api.send(END, channel="news")
            return reply.status == 200 and reply.report["connections"] == len(self._audience)

        await eventually(ended)
        heard: list[list[str]] = []
        async with asyncio.timeout(10):
            for client in self._audience:
                messages: list[str] = []
                while (message := str(await client.recv())) != END:
                    messages.append(message)
                assert messages == sorted(set(messages), key=int)
                heard.append(messages)
        for message, count in self.counted.items():
            assert sum(message in messages for messages in heard) >= count
