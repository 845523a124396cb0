"""Clients by the thousand: each costs a socket, a list and no library."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import cast

import jwt

from dsock.http.server import raise_file_limit
from tests.support.cluster import JWT_SECRET
from tests.support.wire import CLOSE, PATIENCE, PING, PONG, TEXT, frame, handshake

AT_ONCE = 100
"""How many of a crowd connect side by side."""


class Listener(asyncio.Protocol):
    """A client that answers pings and goodbyes, and keeps what it is told."""

    def __init__(self, query: str) -> None:
        loop = asyncio.get_running_loop()
        self.messages: list[str] = []
        self.code: int | None = None
        """With what the server has closed it; None: it has not, or without a word."""
        self.status = 0
        self.error = ""
        """The error code of who was refused."""
        self.answered: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[float] = loop.create_future()
        """When it was closed, by the loop's clock."""
        self._request = handshake(f"/connect?{query}")
        self._buffer = b""
        self._lost = asyncio.Event()
        self._loop = loop

    @property
    def open(self) -> bool:
        return self.status == 101 and not self.ended.done()

    async def leave(self) -> None:
        """Hang up."""
        self._transport.close()
        async with asyncio.timeout(PATIENCE):
            await self._lost.wait()

    # --- what the transport says ---------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by its class.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self.status != 101:
            head, mark, rest = self._buffer.partition(b"\r\n\r\n")
            if mark:
                self.status = int(head.split(b" ")[1])
                self._buffer = rest
                if self.status == 101:
                    self._answered()
        while self.status == 101 and self._take_frame():
            pass

    def connection_lost(self, exc: Exception | None) -> None:
        if self.status != 101 and self._buffer.startswith(b"{"):
            self.error = json.loads(self._buffer)["errorCode"]
        self._answered()
        self._ended()
        self._lost.set()

    def eof_received(self) -> None:
        self._transport.close()

    # --- inside --------------------------------------------------------------------------

    def _answered(self) -> None:
        if not self.answered.done():
            self.answered.set_result(None)

    def _ended(self) -> None:
        if not self.ended.done():
            self.ended.set_result(self._loop.time())

    def _take_frame(self) -> bool:
        data = self._buffer
        if len(data) < 2:
            return False
        size, start = data[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return False
        body, self._buffer = data[start : start + size], data[start + size :]
        match data[0] & 0x0F:
            case opcode if opcode == TEXT:
                self.messages.append(body.decode())
            case opcode if opcode == PING:
                self._transport.write(frame(PONG, body))
            case opcode if opcode == CLOSE:
                self.code = int.from_bytes(body[:2], "big")
                self._ended()
                self._transport.write(frame(CLOSE, body[:2]))
        return True


async def listen(address: str, query: str) -> Listener:
    """Connect with this query, and see. Raises `OSError` where nobody listens."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE):
        _, listener = await loop.create_connection(lambda: Listener(query), host, int(port))
        await listener.answered
    if listener.status != 101:
        await listener.leave()
    return listener


def by_jwt(user: str, *channels: str, session: str = "") -> str:
    """The query of a client that needs no claim."""
    claims = {"sub": user, "channels": list(channels), "exp": int(time.time()) + 3600}
    claims |= {"sid": session} if session else {}
    return f"jwt={jwt.encode(claims, JWT_SECRET, 'HS256')}"


@asynccontextmanager
async def listeners(address: str, queries: Iterable[str]) -> AsyncIterator[list[Listener]]:
    """A client for each query, all of them let in."""
    raise_file_limit()
    waiting = list(queries)
    crowd: list[Listener] = []

    async def come() -> None:
        while waiting:
            crowd.append(await listen(address, waiting.pop()))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(come())
        assert {one.status for one in crowd} == {101}
        yield crowd
    finally:
        await asyncio.gather(*(one.leave() for one in crowd))
