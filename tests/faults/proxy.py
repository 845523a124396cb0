"""A wire that can fail in every way that a network can: a TCP proxy whose faults are set
while it runs, for each direction alone. The list of Toxiproxy's toxics is the model.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf
from typing import Literal

Way = Literal["there", "back"]
"""To the server, or back from it."""

WAYS: tuple[Way, Way] = ("there", "back")

SUBSCRIBES, PUBLISHES = b"SUBSCRIBE", b"PUBLISH"
"""Words by which connections can be told apart."""

GONE = (OSError, RuntimeError)
"""What writing raises where nobody is any more: the second is uvloop's."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens to all bytes on their way in one direction. Seconds and bytes."""

    latency: float = 0.0
    jitter: float = 0.0
    """So much later or earlier than `latency`, by chance; order stays."""
    rate: float = inf
    """Bytes a second."""
    slice: int = 0
    """Passed on in pieces of half to one and a half times so many bytes; 0 for whole."""
    stalled: bool = False
    """Nothing passes while this is so, and all of it after: packets are dropped for a while.
    Each connection goes on by chance within `jitter` then, as TCP tries again at times of its own;
    so what was sent on one that was given up may come last."""
    lost: bool = False
    """What comes is lost, and on its connection all that follows, its end too: the other
    side has vanished, and nobody says so."""
    limit: int | None = None
    """After so many bytes the connection ends, as if its sender had closed it."""
    slow_close: float = 0.0
    """An end is passed on so much later."""


NONE = Faults()


class _Link:
    """One connection through the proxy."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.towards: dict[Way, asyncio.StreamWriter] = {"there": far, "back": near}
        self.passed: dict[Way, int] = {"there": 0, "back": 0}
        self.silent: set[Way] = set()
        self.said: set[bytes] = set()
        """Of the words above, those that went to the server."""

    def reset(self) -> None:
        for writer in self.towards.values():
            _reset(writer)

    def close(self) -> None:
        for writer in self.towards.values():
            writer.close()


class Proxy:
    """Passes everything on to the server at `port`, until told otherwise. Another `port` is
    for new connections: those that are there stay where they are, as after a failover.

    `faults` may be set at any time, and then holds for all connections.
    """

    def __init__(self, port: int, seed: int = 0) -> None:
        self.port = port
        self.address = ""
        self._faults: dict[Way, Faults] = dict.fromkeys(WAYS, NONE)
        self._changed = asyncio.Event()
        self._random = random.Random(seed)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def connections(self) -> int:
        """How many pass through it now."""
        return len(self._links)

    def set(self, there: Faults = NONE, back: Faults = NONE) -> None:
        """From now on this happens in each direction."""
        self._faults = {"there": there, "back": back}
        self._changed.set()
        self._changed = asyncio.Event()

    def heal(self) -> None:
        """Nothing happens any more; connections on which something was lost end."""
        self.set()
        for link in self._links:
            if link.silent:
                link.close()

    def hush(self, only: bytes | None = None) -> int:
        """What the server answers on the connections of now gets lost, without an error, or on
        those `only` that have said this word; returns how many they are."""
        chosen = [link for link in self._links if only is None or only in link.said]
        for link in chosen:
            link.silent.add("back")
        return len(chosen)

    def cut(self) -> None:
        """All connections of now end."""
        for link in self._links:
            link.close()

    def reset(self) -> None:
        """All connections of now end with an RST on both sides."""
        for link in self._links:
            link.reset()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            self.cut()
            for task in tuple(self._tasks):
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
        tasks = {
            asyncio.create_task(self._pump(link, "there", near_reader)),
            asyncio.create_task(self._pump(link, "back", far_reader)),
        }
        self._tasks |= tasks
        try:
            await asyncio.wait(tasks)
        finally:
            link.close()
            self._tasks -= tasks
            self._links.discard(link)

    async def _pump(self, link: _Link, way: Way, reader: asyncio.StreamReader) -> None:
        """Read beside writing, so that what comes late is not also slowed down."""
        coming: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)
        passing = asyncio.create_task(self._pass_on(link, way, coming))
        try:
            while data := await reader.read(2**16):
                if way == "there":
                    link.said |= {word for word in (SUBSCRIBES, PUBLISHES) if word in data}
                await _put(coming, (self._due(way), data), passing)
            await _put(coming, (self._loop.time(), b""), passing)
            await passing
        except OSError:
            # Who resets a connection has given up what is still on its way.
            link.reset()
        finally:
            passing.cancel()

    def _due(self, way: Way) -> float:
        faults = self._faults[way]
        late = faults.latency + self._random.uniform(-faults.jitter, faults.jitter)
        return self._loop.time() + max(0.0, late)

    async def _pass_on(
        self, link: _Link, way: Way, coming: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        writer = link.towards[way]
        with suppress(*GONE):
            while True:
                due, data = await coming.get()
                await _until(due)
                if not data:
                    break
                for piece in self._pieces(data, self._faults[way].slice):
                    if not await self._pass(link, way, piece):
                        writer.close()
                        return
                    # A turn of its own for each: what is written in one turn goes as one.
                    await asyncio.sleep(0)
            await self._healed(way)
            await asyncio.sleep(self._faults[way].slow_close)
            if not self._gets_lost(link, way):
                writer.close()

    async def _pass(self, link: _Link, way: Way, piece: bytes) -> bool:
        """Let a piece through, or lose it; says whether the connection goes on."""
        await self._healed(way)
        faults, writer = self._faults[way], link.towards[way]
        if self._gets_lost(link, way):
            return True
        if faults.limit is not None:
            piece = piece[: max(0, faults.limit - link.passed[way])]
        link.passed[way] += len(piece)
        writer.write(piece)
        await writer.drain()
        if faults.rate < inf:
            await _until(self._loop.time() + len(piece) / faults.rate)
        return faults.limit is None or link.passed[way] < faults.limit

    def _gets_lost(self, link: _Link, way: Way) -> bool:
        if self._faults[way].lost:
            link.silent.add(way)
        return way in link.silent

    async def _healed(self, way: Way) -> None:
        while (faults := self._faults[way]).stalled:
            await self._changed.wait()
            await asyncio.sleep(self._random.uniform(0.0, faults.jitter))

    def _pieces(self, data: bytes, size: int) -> list[bytes]:
        if not size:
            return [data]
        pieces = []
        while data:
            length = self._random.randint((size + 1) // 2, size + size // 2)
            pieces.append(data[:length])
            data = data[length:]
        return pieces


async def _put(
    coming: asyncio.Queue[tuple[float, bytes]],
    item: tuple[float, bytes],
    passing: asyncio.Task[None],
) -> None:
    """Put it in, unless nobody takes anything any more."""
    putting = asyncio.ensure_future(coming.put(item))
    await asyncio.wait((putting, passing), return_when=asyncio.FIRST_COMPLETED)
    putting.cancel()


async def _until(moment: float) -> None:
    left = moment - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)


def _reset(writer: asyncio.StreamWriter) -> None:
    # A duplicate shares the options, and asks no loop for leave.
    # One that has ended has none any more, says uvloop.
    if sock := writer.get_extra_info("socket"):
        with suppress(OSError), socket.fromfd(sock.fileno(), sock.family, sock.type) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def proxy_to(port: int, seed: int = 0) -> AsyncIterator[Proxy]:
    proxy = Proxy(port, seed)
    async with proxy.running():
        yield proxy
