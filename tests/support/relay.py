"""A wire to Redis that can fail in ways that Redis itself does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class _Link:
    """One connection through the relay."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near = near
        self.far = far
        self.subscribed = False
        self.hushed = False


class Relay:
    """Passes everything on to the Redis at `port`, until told otherwise. Another `port` is
    for new connections: those that are there stay where they are, as after a failover."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = ""
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def hush(self, only_subscriptions: bool = False) -> int:
        """What Redis answers on the connections of now gets lost, without an error; returns
        how many they are."""
        chosen = [link for link in self._links if link.subscribed or not only_subscriptions]
        for link in chosen:
            link.hushed = True
        return len(chosen)

    def cut(self) -> None:
        """All connections of now end."""
        for link in self._links:
            link.near.close()
            link.far.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            self.cut()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(
        self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter
    ) -> None:
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            near.close()
            return
        link = _Link(near, far)
        self._links.add(link)
        pumps = (self._ask(link, near_reader), self._answer(link, far_reader))
        tasks = {asyncio.create_task(pump) for pump in pumps}
        self._tasks |= tasks
        await asyncio.wait(tasks)
        near.close()
        self._tasks -= tasks
        self._links.discard(link)

    async def _ask(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while data := await _read(reader):
            link.subscribed |= b"SUBSCRIBE" in data
            link.far.write(data)
        link.far.close()

    async def _answer(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while data := await _read(reader):
            if not link.hushed:
                link.near.write(data)
        if not link.hushed:
            link.near.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(2**16)
    except OSError:
        return b""


@asynccontextmanager
async def relay_to(port: int) -> AsyncIterator[Relay]:
    relay = Relay(port)
    async with relay.running():
        yield relay
