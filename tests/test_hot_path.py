"""What a delivery, a call and an idle client cost a process of its own: counted, not timed.

The commands to Redis are counted in `backends/redis/test_costs.py`.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest_asyncio

from tests.support.cluster import TOKEN, Caller
from tests.support.process import Process, process
from tests.support.wire import PING, PONG, Wire, dial, frame, open_wire, request

MEMBERS, CALLS, FLYING = 50, 200, 16
DEFLATE = "permessage-deflate; client_max_window_bits"
LARGEST_IDLE = 2500
"""Bytes of memory that an idle connection may cost: a third more than it does."""


@pytest_asyncio.fixture
async def node() -> AsyncIterator[Process]:
    async with process("serve", ping_interval="1s", ping_timeout="10m") as started:
        yield started


@asynccontextmanager
async def members(node: Process, count: int) -> AsyncIterator[list[Wire]]:
    """Clients in channel `news`, each a user of its own."""
    address = await node.listening()
    caller = Caller(f"http://{address}")
    async with caller.http, AsyncExitStack() as stack:
        opened = []
        for number in range(count):
            claim = await caller.claim(f"user-{number}", channels="news")
            opened.append(
                await stack.enter_async_context(
                    open_wire(address, f"claim={claim}", sec_websocket_extensions=DEFLATE)
                )
            )
        yield opened


def writes(node: Process) -> int:
    """How often it has asked the system to write, sockets included."""
    lines = Path(f"/proc/{node.pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["syscw"])


def memory(node: Process) -> int:
    """Bytes that are its own: of pages that it shares with others, such as its libraries', its
    part would grow when one of those ends."""
    lines = Path(f"/proc/{node.pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Anonymous:")).split()[1]) * 1024


async def send(callers: Sequence[Wire], calls: int) -> None:
    """Let each caller make so many calls, one after the other."""
    call = request(
        "POST", "/send?channel=news&type=text", b"hello", authorization=f"Bearer {TOKEN}"
    )

    async def one(wire: Wire) -> None:
        for _ in range(calls):
            await wire.send(call)
            assert (await wire.response()).json["report"]["connections"] == MEMBERS

    await asyncio.gather(*map(one, callers))


async def messages(wire: Wire, count: int) -> None:
    """Wait until so many have come, between pings."""
    while count:
        one = await wire.frame()
        assert one.opcode == PING or one.body == b"hello"
        count -= one.opcode != PING


@asynccontextmanager
async def callers(node: Process, count: int) -> AsyncIterator[list[Wire]]:
    """Back ends, each with a connection of its own that it keeps."""
    async with AsyncExitStack() as stack:
        address = await node.listening()
        yield [await stack.enter_async_context(dial(address)) for _ in range(count)]


async def test_a_send_is_one_write_for_each_receiver_and_one_for_the_answer(
    node: Process,
) -> None:
    async with members(node, MEMBERS) as wires, callers(node, 1) as calling:
        before = writes(node)
        await send(calling, CALLS)
        await asyncio.gather(*(messages(wire, CALLS) for wire in wires))
        spent = writes(node) - before
    pings = 3 * MEMBERS
    assert CALLS * MEMBERS <= spent <= CALLS * (MEMBERS + 1) + pings


async def test_sends_in_flight_share_their_writes(node: Process) -> None:
    async with members(node, MEMBERS) as wires, callers(node, FLYING) as calling:
        before = writes(node)
        await send(calling, CALLS)
        await asyncio.gather(*(messages(wire, CALLS * FLYING) for wire in wires))
        spent = writes(node) - before
    assert spent < CALLS * FLYING * MEMBERS / 2


async def test_an_idle_client_costs_little_memory_however_many_pings_it_answers(
    node: Process,
) -> None:
    count = 1000
    async with members(node, MEMBERS):
        gc.collect()
        at_rest = memory(node)
        async with members(node, count) as wires, callers(node, 1) as [caller]:
            for _ in range(2):
                for wire in wires:
                    assert (await wire.frame()).opcode == PING
                    await wire.send(frame(PONG))
                # Once this is answered, they have been read: two at once would want a parser.
                await caller.send(request("GET", "/ping"))
                await caller.response()
            each = (memory(node) - at_rest) / count
    assert 500 < each <= LARGEST_IDLE
