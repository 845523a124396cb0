"""Messages to clients that negotiated permessage-deflate (RFC 7692), and to others; and what is
counted of theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.support.cluster import Cluster, memory_cluster
from tests.support.wire import BINARY, Wire, frame, open_wire

OFFER = "permessage-deflate; client_max_window_bits"
NEVER = 3600.0
"""Seconds between two pings: they would come between what is read."""
LONG = "the same again, " * 100


@pytest.fixture
async def node() -> AsyncIterator[Cluster]:
    async with memory_cluster(compression_min_size=1000, ping_interval=NEVER) as node:
        yield node


async def first_byte_and_size(wire: Wire) -> tuple[int, int]:
    """Of the next frame: the byte with its flags, and how many bytes its body has."""
    first, second = await wire.read(2)
    size = int.from_bytes(await wire.read(2), "big") if second == 126 else second
    await wire.read(size)
    return first, size


async def test_who_negotiated_it_gets_fewer_bytes_and_reads_the_same(node: Cluster) -> None:
    async with (
        node.client("u") as client,
        open_wire(
            node.workers[0],
            f"claim={await node.api.claim('u')}",
            sec_websocket_extensions=OFFER,
        ) as deflating,
        open_wire(node.workers[0], f"claim={await node.api.claim('u')}") as plain,
    ):
        assert (await node.api.send(LONG, user="u")).report["connections"] == 3
        assert await client.recv() == LONG
        first, size = await first_byte_and_size(deflating)
        assert (first, size < len(LONG) / 10) == (0xC1, True)
        assert await first_byte_and_size(plain) == (0x81, len(LONG))


async def test_a_small_message_goes_as_it_is(node: Cluster) -> None:
    claim = await node.api.claim("u")
    async with open_wire(node.workers[0], f"claim={claim}", sec_websocket_extensions=OFFER) as wire:
        await node.api.send(LONG[:999], user="u")
        assert await first_byte_and_size(wire) == (0x81, 999)


async def test_it_can_be_switched_off() -> None:
    async with memory_cluster(compression=False, ping_interval=NEVER) as node:
        claim = await node.api.claim("u")
        async with open_wire(
            node.workers[0], f"claim={claim}", sec_websocket_extensions=OFFER
        ) as wire:
            await node.api.send(LONG, user="u")
            assert await first_byte_and_size(wire) == (0x81, len(LONG))


async def test_a_client_with_a_smaller_window_gets_messages_as_they_are(node: Cluster) -> None:
    claim = await node.api.claim("u")
    offer = "permessage-deflate; server_max_window_bits=10"
    async with open_wire(node.workers[0], f"claim={claim}", sec_websocket_extensions=offer) as wire:
        await node.api.send(LONG, user="u")
        assert await first_byte_and_size(wire) == (0x81, len(LONG))


@pytest.mark.parametrize("window", [9, 12, 15, None])
async def test_whatever_window_a_client_asks_for_it_reads_every_message(
    node: Cluster, window: int | None
) -> None:
    offer = ClientPerMessageDeflateFactory(server_max_window_bits=window)
    uri = node.url(f"?claim={await node.api.claim('u')}")
    # Repeats itself from further back than a small window reaches.
    far = "".join(f"{number}, " for number in range(9000)) + LONG
    async with connect(uri, extensions=[offer], compression=None) as client:
        for text in (LONG, far, "short", LONG):
            assert (await node.api.send(text, user="u")).report["connections"] == 1
            assert await client.recv() == text


HELD_BACK = bytes.fromhex("eacfd35d76aa414576ab649c2da37183d0ddbb471347c1281805a360")
"""Inflates to 1,169 bytes, of which zlib gives out 1,000 and keeps the others to itself when it
is asked for no more than 1,000."""


async def test_what_zlib_holds_back_counts_too() -> None:
    async with memory_cluster(max_client_message_size=1000) as node:
        claim = await node.api.claim("hoarder")
        async with open_wire(
            node.workers[0], f"claim={claim}", sec_websocket_extensions=OFFER
        ) as wire:
            await wire.send(frame(BINARY, HELD_BACK, fin=False, rsv=4))
            await wire.send(frame(0))
            assert await wire.goodbye() == 1009
