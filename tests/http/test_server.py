"""How long we wait for a request, and how the server comes and goes. Patience is short here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dsock.errors import StartError
from dsock.http.rules import Rules
from dsock.http.server import bind
from tests.support.web import Held, web
from tests.support.wire import Wire, dial, request

PATIENCE = 0.2
PING = request("GET", "/ping")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def held() -> Held:
    return Held()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def impatient(held: Held) -> AsyncIterator[str]:
    """The address of a server that waits `PATIENCE` for everything."""
    async with web(Rules(header_timeout=PATIENCE, body_timeout=PATIENCE), held.route()) as address:
        yield address


async def ping(wire: Wire) -> None:
    await wire.send(PING)
    assert (await wire.response()).body == b"pong"


async def silence_is_cut(address: str) -> None:
    """Longer than anyone is waited for."""
    async with dial(address) as silent:
        await silent.end()


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"GE"],
        [b"GET /ping HTTP/1.1\r\nhost: x\r\n"],
        [PING[:-1]],
        [PING, PING[:-2]],
        [request("POST", "/echo", b"12345"), b"POST /ec"],
    ],
    ids=["nothing", "method", "line", "almost", "second", "after-body"],
)
async def test_b12_headers_that_do_not_come_are_not_waited_for(
    impatient: str, parts: list[bytes]
) -> None:
    async with dial(impatient) as wire:
        for whole in parts[:-1]:
            await wire.send(whole)
            assert (await wire.response()).status == 200
        await wire.send(parts[-1])
        response = await wire.response()
        assert (response.status, response.code) == (408, "REQUEST_TIMEOUT")
        assert await wire.end() == b""


async def test_b12_headers_that_trickle_are_not_waited_for(impatient: str) -> None:
    async with dial(impatient) as wire, dial(impatient) as pace:
        await wire.send(b"GET /ping HTTP/1.1\r\nx: ")
        answer = asyncio.create_task(wire.response())
        with suppress(ConnectionResetError, BrokenPipeError):
            while not answer.done():
                await wire.send(b"y")
                await ping(pace)
        assert (await answer).code == "REQUEST_TIMEOUT"


@pytest.mark.parametrize(
    "start",
    [
        request("POST", "/echo", b"12", content_length="5"),
        request("POST", "/echo", content_length="5"),
        request("POST", "/echo", transfer_encoding="chunked") + b"5\r\n12",
        request("POST", "/echo", content_length="5", upgrade="h2c", connection="upgrade"),
    ],
    ids=["some", "none", "chunked", "upgrade"],
)
async def test_a_body_that_does_not_come_is_not_waited_for(impatient: str, start: bytes) -> None:
    async with dial(impatient) as wire:
        await wire.send(start)
        assert (await wire.response()).code == "REQUEST_TIMEOUT"
        assert await wire.end() == b""


async def test_a_slow_body_may_take_as_long_as_it_makes_progress() -> None:
    # Long enough for a busy machine to let the next piece through.
    rules = Rules(header_timeout=2, body_timeout=2)
    async with web(rules) as address, dial(address) as wire, dial(address) as pace:
        await wire.send(request("POST", "/echo", transfer_encoding="chunked"))
        other, size = asyncio.create_task(silence_is_cut(address)), 0
        while not other.done():
            await wire.send(b"1\r\nx\r\n")
            await ping(pace)
            size += 1
        await wire.send(b"0\r\n\r\n")
        assert (await wire.response()).body == b"x" * size


async def test_a_slow_answer_is_not_the_callers_fault(impatient: str, held: Held) -> None:
    async with dial(impatient) as wire:
        await wire.send(request("GET", "/held"))
        await silence_is_cut(impatient)
        held.release.set()
        assert (await wire.response()).body == b"done"


async def test_a_connection_may_rest_between_two_requests(impatient: str) -> None:
    async with dial(impatient) as wire:
        await ping(wire)
        await silence_is_cut(impatient)
        await ping(wire)


async def test_requests_under_way_are_finished_before_the_server_is_gone() -> None:
    held = Held()

    async def leave(address: str) -> None:
        """Until nobody may come in any more: then the one inside gets its answer."""
        with suppress(ConnectionRefusedError):
            while True:
                async with dial(address) as wire:
                    await wire.end()
        held.release.set()

    async with AsyncExitStack() as clients, web(Rules(), held.route()) as address:
        wire = await clients.enter_async_context(dial(address))
        await wire.send(request("GET", "/held"))
        await held.asked.wait()
        left = asyncio.create_task(leave(address))
    await left
    assert held.release.is_set()


async def test_a_port_that_is_taken_is_named() -> None:
    with bind("127.0.0.1", 0) as sock, pytest.raises(StartError, match=r"^port \d+ is in use$"):
        bind("127.0.0.1", sock.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
async def test_an_address_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(StartError, match=host):
        bind(host, 0)


async def test_one_that_rests_is_closed_though_its_last_body_came_after_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def early(_: Request) -> Response:
        return PlainTextResponse("no")

    monkeypatch.setattr("dsock.http.server.KEEP_ALIVE", 1)
    early_route = Route("/early", early, methods=["POST"])
    async with web(Rules(), early_route) as address, dial(address) as wire:
        head = request("POST", "/early", content_length="4")
        await wire.send(head)
        assert (await wire.response()).body == b"no"
        await wire.send(b"body" + head)
        assert (await wire.response()).body == b"no"
        await wire.send(b"body")
        assert await wire.end() == b""
