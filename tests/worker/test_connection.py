"""One client's socket: pings, what clients send, clients that do not read, and goodbyes."""

from __future__ import annotations

import asyncio
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from dsock.http.incoming import Incoming, Reader
from dsock.worker.connection import CLOSE_TIMEOUT
from tests.support.cluster import Cluster, memory_cluster
from tests.support.wire import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Wire,
    dial,
    frame,
    handshake,
    open_wire,
)

CONTINUATION = 0
LIMIT = 2**16
DEFLATE = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
SLOW = 4096
"""Bytes in the receive buffer of a client whose system takes in little."""

NEVER = 3600.0
"""Seconds between two pings, where a test reads frame by frame what comes."""

SOON = 5.0
"""Seconds in which somebody is seen to be cut off after `CLOSE_TIMEOUT`, on a busy machine too;
nothing else cuts off as early."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Cluster]:
    """One node for all; every test has users of its own."""
    settings = {"send_buffer_limit": LIMIT, "max_message_size": 2**24, "ping_interval": NEVER}
    async with memory_cluster(**settings) as cluster:
        yield cluster


async def credential(node: Cluster, user: str) -> str:
    return f"claim={await node.api.claim(user)}"


async def count(node: Cluster, name: str) -> float:
    """A number from `/metrics`."""
    text = (await node.api.http.get("/metrics")).text
    return sum(float(line.split(" ")[1]) for line in text.splitlines() if line.startswith(name))


async def last_ping(node: Cluster, user: str) -> int:
    (one,) = (await node.api.info(user=user))["connections"]
    moment: int = one["lastPing"]
    return moment


# --- pings -------------------------------------------------------------------------------


async def test_b13_pongs_keep_a_client_and_move_its_last_ping() -> None:
    settings = {"ping_interval": 0.1, "ping_timeout": 0.2}
    async with memory_cluster(**settings) as node, node.client("42") as client:
        first = await last_ping(node, "42")
        while await last_ping(node, "42") == first:
            pass
        await node.api.send("still here", user="42")
        assert await client.recv() == "still here"


async def test_b14_a_client_that_answers_no_ping_is_closed() -> None:
    async with (
        memory_cluster(ping_interval=0.1, ping_timeout=0.1) as node,
        open_wire(node.workers[0], await credential(node, "42")) as wire,
    ):
        assert (await wire.frame()).opcode == PING
        assert await wire.goodbye() == 1008
        assert (await node.api.info(user="42"))["connections"] == []
        assert await wire.end() == b""


async def test_a_ping_is_answered_with_what_it_said(node: Cluster) -> None:
    async with open_wire(node.workers[0], await credential(node, "pinger")) as wire:
        await wire.send(frame(PING, b"are you there?"))
        assert await wire.frame() == (PONG, b"are you there?")


async def test_b13_a_ping_of_the_client_moves_its_last_ping_too(node: Cluster) -> None:
    async with node.client("pinger") as client:
        first = await last_ping(node, "pinger")
        while await last_ping(node, "pinger") == first:
            await (await client.ping())


# --- what clients send -------------------------------------------------------------------


def deflated(body: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    return (compressor.compress(body) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    "frames",
    [
        [frame(TEXT, b"x" * LIMIT)],
        [frame(BINARY, b"\xff" * LIMIT)],
        [frame(TEXT)],
        [frame(TEXT, b"a", fin=False), frame(CONTINUATION, fin=False), frame(CONTINUATION, b"b")],
        [frame(TEXT, b"\xc3", fin=False), frame(PONG), frame(CONTINUATION, b"\xa9")],
        [bytes([byte]) for byte in frame(TEXT, b"byte by byte")],
    ],
    ids=["text", "binary", "empty", "fragments", "split", "bytes"],
)
async def test_messages_of_clients_are_counted_and_the_client_stays(
    node: Cluster, frames: list[bytes]
) -> None:
    before = await count(node, "dsock_client_messages_total")
    async with open_wire(node.workers[0], await credential(node, "talker")) as wire:
        await wire.send(*frames, frame(PING))
        assert (await wire.frame()).opcode == PONG
        assert await count(node, "dsock_client_messages_total") == before + 1


async def test_a_large_message_waits_for_no_turn(
    node: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[Reader] = []
    monkeypatch.setattr(Incoming, "add", lambda _, reader: waited.append(reader))
    async with open_wire(node.workers[0], await credential(node, "large")) as wire:
        before = await count(node, "dsock_client_messages_total")
        await wire.send(frame(BINARY, bytes(60_000)))
        while await count(node, "dsock_client_messages_total") == before:
            assert not waited
    assert not waited


async def test_a_client_may_compress_what_it_sends(node: Cluster) -> None:
    before = await count(node, "dsock_client_bytes_total")
    async with open_wire(
        node.workers[0], await credential(node, "talker"), sec_websocket_extensions=DEFLATE
    ) as wire:
        for _ in range(3):
            await wire.send(frame(TEXT, deflated(b"hello " * 1000), rsv=4))
        await wire.send(frame(PING))
        assert (await wire.frame()).opcode == PONG
        assert await count(node, "dsock_client_bytes_total") == before + 18_000


async def test_a_browser_that_offers_compression_is_served(node: Cluster) -> None:
    query = await credential(node, "browser")
    async with connect(node.url(f"?{query}"), compression="deflate") as client:
        await client.send("hello " * 1000)
        await node.api.send("hello " * 1000, user="browser")
        assert await client.recv() == "hello " * 1000


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"x" * (LIMIT + 1)), 1009),
        (frame(TEXT, b"x" * LIMIT, fin=False) + frame(CONTINUATION, b"x"), 1009),
        (b"\x82\xff" + (2**30).to_bytes(8, "big") + bytes(4), 1009),
        (frame(TEXT, deflated(bytes(LIMIT + 1)), rsv=4), 1009),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION, b"\x28"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (b"\x81\x02hi", 1002),
        (frame(TEXT, rsv=1), 1002),
        (frame(TEXT, rsv=2), 1002),
        (frame(3), 1002),
        (frame(11), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, fin=False), 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(TEXT, fin=False) + frame(TEXT), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, (999).to_bytes(2, "big")), 1002),
        (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
        (b"\x81\xff" + b"\xff" * 8 + bytes(4), 1009),
    ],
    ids=[
        "size", "fragments", "declared", "bomb", "utf8", "utf8-fragments", "surrogate",
        "unmasked", "rsv3", "rsv2", "opcode-3", "opcode-11", "long-ping", "ping-fragment",
        "continuation", "interrupted", "short-close", "close-999", "close-1005", "negative",
    ],
)  # fmt: skip
async def test_b11_a_client_that_breaks_the_rules_is_told_which_and_closed(
    node: Cluster, data: bytes, code: int
) -> None:
    async with open_wire(
        node.workers[0], await credential(node, "breaker"), sec_websocket_extensions=DEFLATE
    ) as wire:
        await wire.send(data)
        assert await wire.goodbye() == code
        assert (await node.api.info(user="breaker"))["connections"] == []


async def test_compression_that_was_not_agreed_is_refused(node: Cluster) -> None:
    async with open_wire(node.workers[0], await credential(node, "breaker")) as wire:
        await wire.send(frame(TEXT, deflated(b"hello"), rsv=4))
        assert await wire.goodbye() == 1002


async def test_what_does_not_inflate_is_refused(node: Cluster) -> None:
    async with open_wire(
        node.workers[0], await credential(node, "breaker"), sec_websocket_extensions=DEFLATE
    ) as wire:
        await wire.send(frame(TEXT, b"\xff\xff\xff", rsv=4))
        assert await wire.goodbye() in (1002, 1007)


async def test_b11_a_bomb_costs_no_memory(node: Cluster) -> None:
    bomb = frame(BINARY, deflated(bytes(2**25)), rsv=4)
    assert len(bomb) < LIMIT
    async with open_wire(
        node.workers[0], await credential(node, "bomber"), sec_websocket_extensions=DEFLATE
    ) as wire:
        tracemalloc.start()
        try:
            await wire.send(bomb)
            assert await wire.goodbye() == 1009
            assert tracemalloc.get_traced_memory()[1] < 2**21
        finally:
            tracemalloc.stop()


async def test_b11_empty_fragments_without_end_cost_no_memory(node: Cluster) -> None:
    async with open_wire(node.workers[0], await credential(node, "trickler")) as wire:
        await wire.send(frame(TEXT, fin=False))
        fragments = frame(CONTINUATION, fin=False) * 20_000
        tracemalloc.start()
        try:
            for _ in range(5):
                await wire.send(fragments + frame(PING))
                assert (await wire.frame()).opcode == PONG
            assert tracemalloc.get_traced_memory()[0] < 2**19
        finally:
            tracemalloc.stop()


# --- goodbyes ----------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", (1000).to_bytes(2, "big"), b"\x0b\xb8my reason"])
async def test_a_goodbye_of_the_client_is_answered(node: Cluster, body: bytes) -> None:
    async with open_wire(node.workers[0], await credential(node, "leaver")) as wire:
        await wire.send(frame(CLOSE, body))
        answer = await wire.frame()
        assert (answer.opcode, answer.body[:2]) == (CLOSE, body[:2])
        assert await wire.end() == b""
        assert (await node.api.info(user="leaver"))["connections"] == []


async def test_a_client_that_just_goes_is_gone(node: Cluster) -> None:
    async with open_wire(node.workers[0], await credential(node, "leaver")):
        assert len((await node.api.info(user="leaver"))["connections"]) == 1
    while (await node.api.info(user="leaver"))["connections"]:
        pass
    assert (await node.api.send("x", user="leaver")).report["workers"] == 0


async def test_b23_a_disconnect_has_a_code_and_a_reason(node: Cluster) -> None:
    async with node.client("told") as client:
        await node.api.disconnect(user="told")
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (
            1000,
            "disconnected by the application",
        )


async def test_a_client_that_ignores_a_goodbye_is_cut_off_within_a_second(node: Cluster) -> None:
    assert CLOSE_TIMEOUT < 1
    async with open_wire(node.workers[0], await credential(node, "deaf")) as wire:
        async with asyncio.timeout(SOON):
            await node.api.disconnect(user="deaf")
            assert await wire.goodbye() == 1000
            await wire.end()


# --- clients that do not read ------------------------------------------------------------


async def fill(node: Cluster, user: str) -> int:
    """Send to this user until a message is dropped; says how many were taken."""
    taken = 0
    while True:
        report = (await node.api.send(b"x" * 2**18, "binary", user=user)).report
        if report["dropped"]:
            return taken
        taken += report["connections"]


async def cut(node: Cluster, wire: Wire) -> None:
    """The other side's socket is gone: it takes nothing more, even if nobody reads."""
    with suppress(ConnectionResetError, BrokenPipeError):
        while True:
            await wire.send(frame(PONG))
            await node.api.http.get("/ping")


async def test_b16_b18_a_client_that_stops_reading_is_dropped_and_delays_nobody(
    node: Cluster,
) -> None:
    drops = await count(node, "dsock_drops_total")
    query = await credential(node, "slow")
    async with open_wire(node.workers[0], query, SLOW) as wire, node.client("fast") as fast:
        taken = await fill(node, "slow")
        assert await count(node, "dsock_drops_total") == drops + 1
        assert (await node.api.info(user="slow"))["connections"] == []
        assert (await node.api.send("on time", user="fast")).report["connections"] == 1
        assert await fast.recv() == "on time"
        for _ in range(taken):
            assert (await wire.frame()).opcode == BINARY
        assert await wire.goodbye() == 1013


async def test_b17_a_disconnect_frees_the_socket_of_who_does_not_read(node: Cluster) -> None:
    async with open_wire(node.workers[0], await credential(node, "stalled"), SLOW) as wire:
        # As much as makes it wait, and no message more.
        await node.api.send(b"x" * 2**23, "binary", user="stalled")
        async with asyncio.timeout(SOON):
            assert (await node.api.disconnect(user="stalled")).report["connections"] == 1
            assert (await node.api.info(user="stalled"))["connections"] == []
            await cut(node, wire)


async def test_b16_who_takes_nothing_for_a_while_is_cut_off() -> None:
    settings = {"send_timeout": 0.4, "max_message_size": 2**24, "send_buffer_limit": 2**30}
    async with (
        memory_cluster(**settings) as node,
        open_wire(node.workers[0], await credential(node, "42"), SLOW) as wire,
    ):
        await node.api.send(b"x" * 2**23, "binary", user="42")
        await cut(node, wire)
        assert (await node.api.info(user="42"))["connections"] == []


async def test_one_large_message_does_not_end_a_healthy_client(node: Cluster) -> None:
    async with node.client("healthy") as client:
        for size in (LIMIT + 1, 8 * LIMIT, 12 * LIMIT):
            reply = await node.api.send(b"x" * size, "binary", user="healthy")
            assert reply.report["connections"] == 1
            assert len(await client.recv()) == size


# --- the node goes -----------------------------------------------------------------------


async def test_b23_b41_a_node_that_drains_sends_its_clients_elsewhere() -> None:
    async with memory_cluster(drain_duration=0.5) as node:
        clients = [connect(node.url(f"?{await credential(node, '42')}")) for _ in range(20)]
        opened = [await client for client in clients]
        late = await credential(node, "late")
        drain = asyncio.create_task(node.nodes[0].drain())
        with suppress(ConnectionClosedError):
            await opened[0].recv()
        async with dial(node.workers[0]) as wire:
            await wire.send(handshake(f"/connect?{late}"))
            response = await wire.response()
            assert (response.status, response.code) == (503, "SHUTTING_DOWN")
        await drain
        for client in opened:
            await client.wait_closed()
        assert {client.close_code for client in opened} == {1012}
        assert (await node.api.info(user="42"))["connections"] == []
        assert len((await node.api.info(user="late"))["claims"]) == 1


async def test_who_is_still_connected_while_a_node_drains_gets_everything() -> None:
    async with (
        memory_cluster(drain_duration=1.0) as node,
        node.client("first") as first,
        node.client("last") as last,
    ):
        drain = asyncio.create_task(node.nodes[0].drain())
        await first.wait_closed()
        assert (await node.api.send("one more", user="last")).report["connections"] == 1
        assert await last.recv() == "one more"
        await drain
        await last.wait_closed()
        assert last.close_code == 1012


async def test_b40_a_drain_waits_for_no_client_that_does_not_read() -> None:
    async with (
        memory_cluster(drain_duration=0.0, max_message_size=2**24) as node,
        open_wire(node.workers[0], await credential(node, "42"), SLOW),
    ):
        await node.api.send(b"x" * 2**23, "binary", user="42")
        async with asyncio.timeout(SOON):
            await node.nodes[0].drain()
