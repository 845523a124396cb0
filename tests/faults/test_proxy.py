"""The fault proxy does what it says: a bench that breaks nothing proves nothing."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import SUBSCRIBES, Faults, Proxy, proxy_to
from tests.support.eventually import eventually, holds_within, next_turn

SHORT, LONG = 0.2, 10.0


class Server:
    """Keeps what it is sent; `peers` are its ends of the connections."""

    def __init__(self) -> None:
        self.port = 0
        self.heard = b""
        self.pieces: list[bytes] = []
        self.ended = asyncio.Event()
        self.error: OSError | None = None
        self.peers: list[asyncio.StreamWriter] = []

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer)
        try:
            while data := await reader.read(2**16):
                self.pieces.append(data)
                self.heard += data
        except OSError as error:
            self.error = error
        self.ended.set()


@asynccontextmanager
async def server_up() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for peer in server.peers:
            peer.close()


class Wired:
    """A client, the proxy, and the server behind it."""

    def __init__(
        self,
        server: Server,
        proxy: Proxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.server = server
        self.proxy = proxy
        self.reader = reader
        self.writer = writer

    async def asked(self, text: bytes) -> float:
        """Send this and wait until the server has it; how long it took."""
        wanted = len(self.server.heard) + len(text)
        self.writer.write(text)
        return await eventually(lambda: len(self.server.heard) >= wanted, LONG)

    async def answered(self, text: bytes) -> float:
        """The same the other way."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.server.peers[0].write(text)
        async with asyncio.timeout(LONG):
            assert await self.reader.readexactly(len(text)) == text
        return loop.time() - began

    async def is_heard(self, text: bytes) -> bool:
        """Whether the server gets this soon."""
        wanted = len(self.server.heard) + len(text)
        self.writer.write(text)
        return await holds_within(lambda: len(self.server.heard) >= wanted, SHORT)


@pytest.fixture
async def wired() -> AsyncIterator[Wired]:
    async with server_up() as server, proxy_to(server.port) as proxy:
        host, _, port = proxy.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await eventually(lambda: bool(server.peers))
        yield Wired(server, proxy, reader, writer)
        writer.close()


async def test_without_a_fault_all_passes_both_ways_and_so_does_the_end(wired: Wired) -> None:
    await wired.asked(b"x" * 200_000)
    await wired.answered(b"y" * 200_000)
    wired.writer.close()
    await asyncio.wait_for(wired.server.ended.wait(), LONG)
    await eventually(lambda: wired.proxy.connections == 0)


async def test_latency_delays_one_way_and_slows_nothing_down(wired: Wired) -> None:
    latency = 1.0
    wired.proxy.set(there=Faults(latency=latency))
    assert await wired.asked(b"1") >= latency
    assert await wired.answered(b"2") < latency
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(5):
        wired.writer.write(b"%d" % number)
        await wired.writer.drain()
        await holds_within(lambda: False, SHORT / 4)
    await eventually(lambda: wired.server.heard.endswith(b"01234"))
    # Each is late by as much, not by what those before it were.
    assert loop.time() - began < 4 * latency


async def test_jitter_keeps_the_order(wired: Wired) -> None:
    wired.proxy.set(there=Faults(latency=0.02, jitter=0.02))
    sent = b"".join(b"%03d" % number for number in range(50))
    for start in range(0, len(sent), 3):
        wired.writer.write(sent[start : start + 3])
        await next_turn()
    await eventually(lambda: wired.server.heard == sent)


async def test_bandwidth_bounds_what_passes_in_a_second(wired: Wired) -> None:
    wired.proxy.set(back=Faults(rate=100_000, slice=5000))
    assert await wired.answered(b"x" * 50_000) >= 0.4


async def test_slices_arrive_apart(wired: Wired) -> None:
    wired.proxy.set(there=Faults(slice=10, rate=10_000))
    await wired.asked(b"x" * 200)
    assert len(wired.server.pieces) > 5


async def test_the_same_seed_slices_alike() -> None:
    def slices(seed: int) -> list[bytes]:
        return Proxy(0, seed)._pieces(b"x" * 1000, 20)

    assert slices(1) == slices(1) != slices(2)


async def test_what_is_stalled_comes_later(wired: Wired) -> None:
    wired.proxy.set(there=Faults(stalled=True))
    assert not await wired.is_heard(b"late")
    wired.proxy.heal()
    await eventually(lambda: wired.server.heard == b"late")


async def test_what_is_stalled_never_comes_if_its_connection_is_reset(wired: Wired) -> None:
    await wired.asked(b"1")
    wired.proxy.set(there=Faults(stalled=True))
    assert not await wired.is_heard(b"late")
    wired.writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    wired.writer.transport.abort()
    await asyncio.wait_for(wired.server.ended.wait(), LONG)
    wired.proxy.heal()
    assert wired.server.heard == b"1"


async def test_what_is_lost_stays_lost_and_the_other_way_works(wired: Wired) -> None:
    wired.proxy.set(there=Faults(lost=True))
    assert not await wired.is_heard(b"lost")
    await wired.answered(b"works")
    wired.writer.close()
    # Half-open: the server does not learn that nobody is there any more.
    assert not await holds_within(wired.server.ended.is_set, SHORT)
    wired.proxy.heal()
    await asyncio.wait_for(wired.server.ended.wait(), LONG)
    assert wired.server.heard == b""


async def test_a_hushed_connection_stays_silent_and_a_new_one_is_not(wired: Wired) -> None:
    assert wired.proxy.hush(only=SUBSCRIBES) == 0
    assert wired.proxy.hush() == 1
    await wired.asked(b"heard")
    wired.server.peers[0].write(b"not heard")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wired.reader.read(1), SHORT)
    host, _, port = wired.proxy.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await eventually(lambda: len(wired.server.peers) == 2)
    wired.server.peers[1].write(b"new")
    assert await asyncio.wait_for(reader.readexactly(3), LONG) == b"new"
    writer.close()


async def test_a_reset_is_one_on_both_sides(wired: Wired) -> None:
    await wired.asked(b"1")
    wired.proxy.reset()
    with pytest.raises(ConnectionResetError):
        await wired.reader.read(1)
    await asyncio.wait_for(wired.server.ended.wait(), LONG)
    assert isinstance(wired.server.error, ConnectionResetError)


async def test_a_cut_is_an_end_on_both_sides(wired: Wired) -> None:
    await wired.asked(b"1")
    wired.proxy.cut()
    assert await wired.reader.read() == b""
    await asyncio.wait_for(wired.server.ended.wait(), LONG)
    assert wired.server.error is None


async def test_after_the_limit_the_connection_ends(wired: Wired) -> None:
    wired.proxy.set(there=Faults(limit=5))
    wired.writer.write(b"1234567")
    await asyncio.wait_for(wired.server.ended.wait(), LONG)
    assert wired.server.heard == b"12345"


async def test_an_end_can_come_late(wired: Wired) -> None:
    wired.proxy.set(there=Faults(slow_close=2 * SHORT))
    wired.writer.close()
    assert not await holds_within(wired.server.ended.is_set, SHORT)
    await asyncio.wait_for(wired.server.ended.wait(), LONG)


async def test_new_connections_go_where_the_port_says(wired: Wired) -> None:
    async with server_up() as other:
        wired.proxy.port = other.port
        await wired.asked(b"still here")
        host, _, port = wired.proxy.address.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"there")
        await eventually(lambda: other.heard == b"there")
        writer.close()
