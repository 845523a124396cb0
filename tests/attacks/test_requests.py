"""HTTP that is too much: heads over the limits, and floods of what is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.attacks.support import MB, Bystander, Memory, Victim, flood, pour
from tests.support.cluster import TOKEN
from tests.support.wire import Wire, dial, handshake, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOUND = 4 * MB
"""By how much one connection may make a node grow."""

TOO_LARGE = 'dsock_requests_refused_total{code="HEADERS_TOO_LARGE"}'
CHUNKED = {"transfer_encoding": "chunked"}
SEND = f"/send?token={TOKEN}&type=text&user=nobody"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(request("GET", "/ping", x="y" * 2**14), id="16 KiB of one header"),
        pytest.param(request("GET", "/ping", x="y" * MB), id="1 MiB of one header"),
        pytest.param(request("GET", "/ping?" + "y" * 2**14), id="16 KiB of URL"),
        pytest.param(request("GET", "/" + "y" * MB), id="1 MiB of path"),
        pytest.param(
            request("GET", "/ping", **{f"x{n}": "y" for n in range(100)}), id="101 headers"
        ),
        pytest.param(handshake("/connect", x="y" * 2**14), id="a handshake"),
        pytest.param(b"GET /ping HTTP/1.1\r\n" + b"x: y\r\n" * MB, id="headers without end"),
        pytest.param(b"GET /ping HTTP/1.1\r\n" + b"x" * 8 * MB, id="a name without end"),
        pytest.param(b"GET /ping HTTP/1.1\r\nx:" + b" " * 8 * MB, id="a value without end"),
        pytest.param(b"GET /" + b"x" * 8 * MB, id="a URL without end"),
        pytest.param(request("POST", SEND, **CHUNKED) + b"0\r\n" + b"x: y\r\n" * MB, id="trailers"),
        pytest.param(
            request("POST", SEND, **CHUNKED) + b"1;" + b"x" * 8 * MB, id="a chunk's extension"
        ),
    ],
)
async def test_a_head_over_the_limits_is_refused_counted_and_costs_no_memory(
    victim: Victim, head: bytes
) -> None:
    before, memory = await victim.count(TOO_LARGE), Memory(victim.pid)
    async with dial(victim.address) as wire:
        attack = asyncio.create_task(pour(wire, head))
        answers = await wire.end()
        await attack
    assert memory.grown < BOUND
    assert b"HTTP/1.1 431 " in answers
    assert await victim.count(TOO_LARGE) == before + 1


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        pytest.param(b"", request("GET", "/ping") * 1000, id="requests in a row"),
        pytest.param(b"", request("POST", "/nowhere", b"x" * 64) * 1000, id="bodies in a row"),
        pytest.param(
            request("POST", "/nowhere", **CHUNKED), b"1\r\nx\r\n" * 10_000, id="a refused body"
        ),
        pytest.param(request("POST", SEND, **CHUNKED), b"1\r\nx\r\n" * 10_000, id="a body"),
        pytest.param(b"", b"\r\n" * 10_000, id="empty lines"),
        pytest.param(b"", b"\x00" * 2**16, id="garbage"),
    ],
)
async def test_a_flood_of_requests_delays_nobody(
    victim: Victim, by: Bystander, head: bytes, rest: bytes
) -> None:
    memory = Memory(victim.pid)

    @asynccontextmanager
    async def connect() -> AsyncIterator[Wire]:
        async with dial(victim.address) as wire:
            await pour(wire, head)
            yield wire

    assert await by.unmoved(lambda: flood(connect, rest))
    assert memory.grown < BOUND


async def test_who_asks_and_never_reads_piles_up_no_requests(victim: Victim) -> None:
    memory = Memory(victim.pid)
    await flood(lambda: dial(victim.address, 4096), request("GET", "/openapi.json") * 1000)
    assert memory.grown < BOUND
