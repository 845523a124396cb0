"""A client between its handshake and its 101."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from dsock.http.rules import Rules
from dsock.http.upgrade import EARLY_LIMIT, Upgrade
from tests.support.web import web
from tests.support.wire import Wire, dial, handshake, request


@asynccontextmanager
async def pending() -> AsyncIterator[tuple[Wire, Upgrade, str]]:
    """A client before its verdict, and the address of its server."""
    waiting: asyncio.Queue[Upgrade] = asyncio.Queue()
    rules = Rules(on_upgrade=waiting.put_nowait, upgrade_paths=frozenset(("/connect",)))
    async with web(rules) as address, dial(address) as wire:
        await wire.send(handshake("/connect?claim=a&x=1", origin="https://example.com"))
        upgrade = await waiting.get()
        yield wire, upgrade, address
        upgrade.transport.abort()


def lost(upgrade: Upgrade) -> asyncio.Event:
    """Set once the client of the handshake has left."""
    event = asyncio.Event()
    upgrade.on_lost = event.set
    return event


class Successor(asyncio.Protocol):
    """Who takes over from the handshake."""

    def __init__(self) -> None:
        self.came: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.came.set_result(data)


async def test_a_handshake_is_handed_over_with_its_query_and_headers() -> None:
    async with pending() as (_, upgrade, _):
        assert upgrade.query == [("claim", "a"), ("x", "1")]
        assert upgrade.header(b"origin") == ["https://example.com"]
        assert upgrade.tokens(b"connection") == ["Upgrade"]


async def test_a_client_that_leaves_before_its_101_is_noticed() -> None:
    async with pending() as (wire, upgrade, _):
        left = lost(upgrade)
        wire.sock.close()
        await asyncio.wait_for(left.wait(), 5)
        assert upgrade.transport.is_closing()


async def test_what_comes_early_is_kept_for_who_takes_over() -> None:
    async with pending() as (wire, upgrade, address):
        await wire.send(b"early")
        async with dial(address) as other:
            # Its answer is younger than the bytes before it.
            await other.send(request("GET", "/ping"))
            await other.response()
        successor = Successor()
        assert upgrade.hand_over(successor) == b"early"
        await wire.send(b"late")
        assert await asyncio.wait_for(successor.came, 5) == b"late"


async def test_who_talks_too_much_before_its_101_is_cut_off() -> None:
    async with pending() as (wire, upgrade, _):
        left = lost(upgrade)
        with suppress(ConnectionResetError, BrokenPipeError):
            await wire.send(b"x" * (EARLY_LIMIT + 1))
        await asyncio.wait_for(left.wait(), 5)
        assert await wire.end() == b""
