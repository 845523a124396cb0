"""Clients that read everything, and leave together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.cluster import Cluster
from tests.support.wire import PATIENCE

T = TypeVar("T")


class Refusal(NamedTuple):
    status: int
    code: str


MISSING_CLAIM = Refusal(401, "MISSING_CLAIM")


class Client:
    """A client that was let in."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def next(self) -> str:
        """The next message."""
        async with asyncio.timeout(PATIENCE):
            message = await self._socket.recv()
        assert isinstance(message, str)
        return message

    async def take(self, count: int) -> list[str]:
        """The next messages."""
        return [await self.next() for _ in range(count)]

    async def until(self, last: str) -> list[str]:
        """All messages before this one."""
        messages = []
        while (message := await self.next()) != last:
            messages.append(message)
        return messages

    async def goodbye(self) -> int:
        """The code with which the server closes; no message comes before that."""
        try:
            message = await self.next()
        except ConnectionClosed:
            code = self._socket.close_code
            assert code is not None
            return code
        raise AssertionError(f"not closed, but told {message!r}")

    async def leave(self) -> None:
        await self._socket.close()


class Crowd:
    """All clients of one test."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._clients: list[Client] = []

    async def attempt(self, claim: str, worker: int = 0) -> Client | Refusal:
        """Connect with a claim, and see."""
        url = self._cluster.url(f"?claim={claim}", worker)
        try:
            # Without limit: a client that stopped reading could not say goodbye either.
            socket = await connect(
                url, max_queue=None, max_size=None, ping_interval=None, proxy=None
            )
        except InvalidStatus as refused:
            body = json.loads(refused.response.body or b"{}")
            return Refusal(refused.response.status_code, body["errorCode"])
        client = Client(socket)
        self._clients.append(client)
        return client

    async def use(self, claim: str, worker: int = 0) -> Client:
        """Connect with a claim that lets in."""
        client = await self.attempt(claim, worker)
        assert isinstance(client, Client), client
        return client

    async def join(self, user: str, worker: int = 0, api: int = 0, **claim: str) -> Client:
        """Connect as this user."""
        return await self.use(await self._cluster.apis[api].claim(user, **claim), worker)

    async def leave(self) -> None:
        await asyncio.gather(*(client.leave() for client in self._clients))
        self._clients.clear()


@asynccontextmanager
async def crowd_at(cluster: Cluster) -> AsyncIterator[Crowd]:
    crowd = Crowd(cluster)
    try:
        yield crowd
    finally:
        await crowd.leave()


async def after_turns(turns: int, awaitable: Awaitable[T]) -> T:
    """Begin so many turns of the event loop later: each race has another start."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return await awaitable


def starts(round: int) -> tuple[int, int]:
    """Turns after which two racers begin: each round another one is ahead, by another lead."""
    lead = round % 9 - 4
    return max(0, -lead), max(0, lead)
