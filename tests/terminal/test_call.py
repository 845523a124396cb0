"""Calls that nobody answers in time, and hosts that cannot be."""

from __future__ import annotations

import asyncio

import pytest

from dsock.http.rules import Rules
from dsock.terminal import call
from dsock.terminal.access import access
from dsock.terminal.failures import Unreached
from tests.support.web import Held, web


async def test_an_api_that_does_not_answer_may_have_done_what_it_was_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call, "TIMEOUT", 0.2)
    held = Held()
    async with web(Rules(), held.route()) as address:
        api = call.Api(access(f"http://{address}", None, {}))
        with pytest.raises(Unreached, match="carried out is not known"):
            await asyncio.to_thread(api.call, "GET", "/held", {})
        assert held.asked.is_set()
        held.release.set()


@pytest.mark.parametrize("host", ["a..b", "a" * 70])
def test_a_host_that_cannot_be_is_not_reached(host: str) -> None:
    api = call.Api(access(f"http://{host}", None, {}))
    with pytest.raises(Unreached, match="was not reached"):
        api.call("GET", "/info", {})


async def test_when_the_connection_ends_before_the_answer_nobody_knows_what_was_done() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        api = call.Api(access(f"http://127.0.0.1:{port}", None, {}))
        with pytest.raises(Unreached, match="carried out is not known"):
            await asyncio.to_thread(api.call, "POST", "/send", {})
