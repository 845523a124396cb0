"""Who asks and takes nothing of the answer is not kept; who takes it slowly gets all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dsock.errors import DsockError
from dsock.http.rules import Rules
from dsock.http.upgrade import Upgrade
from tests.support.eventually import eventually
from tests.support.web import web
from tests.support.wire import dial, handshake, request

LARGE = 2**24
"""Bytes of an answer: more than the systems on both sides take in."""

PATIENCE = 1.0

LITTLE = 4096

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def refused() -> list[DsockError]:
    """What the server has told of."""
    return []


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """Who has asked for a large answer."""
    return []


@pytest.fixture(scope="module")
def upgrades() -> list[Upgrade]:
    """The WebSocket handshakes that the server was asked to decide on."""
    return []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    refused: list[DsockError], asked: list[str], upgrades: list[Upgrade]
) -> AsyncIterator[str]:
    """The address of one whose `/large` is a large answer."""

    async def large(request: Request) -> Response:
        asked.append(request.url.query)
        return PlainTextResponse(b"x" * LARGE)

    rules = Rules(
        header_timeout=3 * PATIENCE,
        answer_timeout=PATIENCE,
        on_refused=refused.append,
        on_upgrade=upgrades.append,
        upgrade_paths=frozenset(("/connect",)),
    )
    async with web(rules, Route("/large", large)) as address:
        yield address


@pytest.mark.parametrize("count", [1, 20], ids=["one", "many in a row"])
async def test_who_takes_nothing_of_an_answer_is_cut_off_and_counted(
    server: str, refused: list[DsockError], count: int
) -> None:
    refused.clear()
    async with dial(server, LITTLE) as wire:
        await wire.send(request("GET", "/large") * count)
        await eventually(lambda: len(refused) == 1)
        assert refused[0].code == "REQUEST_TIMEOUT"
        # What its own system had taken in is all that it has.
        assert len(await wire.end()) < LARGE


async def test_who_takes_an_answer_slowly_gets_all_of_it(server: str) -> None:
    loop = asyncio.get_running_loop()
    async with dial(server, LITTLE) as wire, dial(server) as pace, dial(server) as silent:
        await wire.send(request("GET", "/large", connection="close"))
        longer, taken = asyncio.create_task(silent.end()), 0
        while not longer.done():
            taken += len(await loop.sock_recv(wire.sock, 64))
            await pace.send(request("GET", "/ping"))
            assert (await pace.response()).body == b"pong"
        assert taken < LARGE
        assert LARGE < taken + len(await wire.end()) < LARGE + 1000


async def test_who_has_taken_all_may_rest_for_longer(server: str) -> None:
    async with dial(server) as wire, dial(server) as silent:
        for _ in range(2):
            await wire.send(request("GET", "/large"))
            assert len((await wire.response()).body) == LARGE
            await silent.end()


async def test_who_has_not_taken_what_it_asked_for_does_not_become_a_websocket(
    server: str, asked: list[str], upgrades: list[Upgrade]
) -> None:
    async with dial(server, LITTLE) as wire, dial(server) as pace:
        await wire.send(request("GET", "/large?websocket"))
        await eventually(lambda: "websocket" in asked)
        await pace.send(request("GET", "/ping"))
        await pace.response()
        await wire.send(handshake("/connect"))
        assert len((await wire.response()).body) == LARGE
        # As if it had not asked to upgrade: here nothing answers at this path.
        assert (await wire.response()).status == 404
        assert upgrades == []
        await wire.send(handshake("/connect"))
        await eventually(lambda: len(upgrades) == 1)
