"""Frames that are made to hurt: each costs its sender the connection or nobody anything."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from tests.attacks.support import BUDGET, MB, Bystander, Memory, Victim, flood, pour
from tests.support.wire import BINARY, CLOSE, PING, PONG, TEXT, frame

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTINUATION = 0
LIMIT = 2**16
"""`max_client_message_size`."""

SEND_BUFFER = MB
"""`send_buffer_limit`."""

BOUND = 4 * MB
"""By how much one client may make a node grow; what libuv reads at once is 256 KiB of it."""

DEFLATE = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"


def closed(reason: str) -> str:
    return f'dsock_connections_closed_total{{reason="{reason}"}}'


def bomb(size: int) -> bytes:
    """A message that is nothing but zeros, of so many bytes once it is inflated."""
    compressor = zlib.compressobj(9, wbits=-15)
    body = compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(BINARY, body[:-4], rsv=4)


def announced(size: int, opcode: int = BINARY) -> bytes:
    """The head of a frame of so many bytes, and some of them."""
    return bytes([0x80 | opcode, 0xFF]) + size.to_bytes(8, "big") + bytes(4) + bytes(1000)


# --- frames that end the connection ------------------------------------------------------

PROTOCOL, SIZE, CONTENT = (1002, "protocol_error"), (1009, "too_big"), (1007, "not_text")


@pytest.mark.parametrize(
    ("data", "end"),
    [
        pytest.param(announced(2**63), SIZE, id="2^63"),
        pytest.param(announced(2**64 - 1), SIZE, id="2^64-1"),
        pytest.param(announced(2**63 - 1), SIZE, id="2^63-1"),
        pytest.param(announced(2**40), SIZE, id="2^40"),
        pytest.param(announced(LIMIT + 1), SIZE, id="limit+1"),
        pytest.param(announced(2**40, PING), SIZE, id="ping of 2^40"),
        pytest.param(announced(2**40, CLOSE), SIZE, id="close of 2^40"),
        pytest.param(
            frame(TEXT, b"x" * 1000, fin=False) + frame(CONTINUATION, b"x" * 1000, fin=False) * 999,
            SIZE,
            id="fragments",
        ),
        pytest.param(b"\x82\x7f" + bytes(8), PROTOCOL, id="unmasked"),
        pytest.param(frame(TEXT, b"\xc3\x28"), CONTENT, id="not UTF-8"),
        *(
            pytest.param(bomb(size), SIZE, id=f"bomb of {size}")
            for size in (LIMIT + 1, 2 * LIMIT, MB, 16 * MB, 64 * MB)
        ),
    ],
)
async def test_a_frame_that_breaks_a_rule_costs_no_memory_and_is_counted(
    victim: Victim, data: bytes, end: tuple[int, str]
) -> None:
    code, reason = end
    before, memory = await victim.count(closed(reason)), Memory(victim.pid)
    async with victim.knock(sec_websocket_extensions=DEFLATE) as wire:
        await pour(wire, data)
        assert await wire.goodbye() == code
    assert memory.grown < BOUND
    assert await victim.count(closed(reason)) == before + 1


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
async def test_a_message_that_inflates_to_the_limit_is_none_too_large(
    victim: Victim, size: int
) -> None:
    before = await victim.count("dsock_client_bytes_total")
    async with victim.knock(sec_websocket_extensions=DEFLATE) as wire:
        await wire.send(bomb(size), frame(PING))
        assert (await wire.frame()).opcode == PONG
    assert await victim.count("dsock_client_bytes_total") == before + size


async def test_a_bomb_in_fragments_is_found_by_what_it_inflates_to(victim: Victim) -> None:
    memory, whole = Memory(victim.pid), bomb(16 * MB)
    body = whole[8:]
    third = len(body) // 3
    pieces = (
        frame(BINARY, body[:third], fin=False, rsv=4)
        + frame(CONTINUATION, body[third : 2 * third], fin=False)
        + frame(CONTINUATION, body[2 * third :])
    )
    async with victim.knock(sec_websocket_extensions=DEFLATE) as wire:
        await pour(wire, pieces)
        assert await wire.goodbye() == 1009
    assert memory.grown < BOUND


# --- floods ------------------------------------------------------------------------------

MANY = 10_000

MESSAGES = "dsock_client_messages_total"


async def test_small_messages_of_one_client_as_fast_as_it_can_delay_nobody(
    victim: Victim, by: Bystander
) -> None:
    # A quiet machine takes in 250,000 a second.
    before, memory = await victim.count(MESSAGES), Memory(victim.pid)

    async def attack() -> None:
        async with victim.knock() as wire:
            await pour(wire, *[frame(TEXT, b"hello") * MANY] * 10, frame(PING))
            assert (await wire.frame()).opcode == PONG

    assert await by.unmoved(attack)
    assert await victim.count(MESSAGES) - before >= 10 * MANY
    assert memory.grown < BOUND


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(frame(TEXT) * MANY, id="empty messages"),
        pytest.param(
            frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 100 * MANY,
            id="endless fragments",
        ),
        pytest.param(frame(PONG) * MANY, id="pongs"),
        pytest.param(frame(CLOSE, b"\x03\xe8") * MANY, id="goodbyes"),
        pytest.param(frame(BINARY, bytes(LIMIT)) * 10, id="large messages"),
        pytest.param(bomb(MB) * 10, id="bombs"),
    ],
)
async def test_a_flood_of_frames_delays_nobody(
    victim: Victim, by: Bystander, frames: bytes
) -> None:
    memory, deflates = Memory(victim.pid), {"sec_websocket_extensions": DEFLATE}
    assert await by.unmoved(lambda: flood(lambda: victim.knock(**deflates), frames))
    assert memory.grown < BOUND


async def test_a_ping_flood_of_a_client_that_reads_delays_nobody(
    victim: Victim, by: Bystander
) -> None:
    memory, count = Memory(victim.pid), 10 * MANY
    async with victim.knock() as wire:

        async def attack() -> None:
            pouring = asyncio.create_task(pour(wire, frame(PING, b"x") * count))
            assert await wire.read(count * 3) == b"\x8a\x01x" * count
            await pouring

        assert await by.unmoved(attack)
    assert memory.grown < BOUND


async def test_pings_of_a_client_that_does_not_read_are_not_answered_without_end(
    victim: Victim, by: Bystander
) -> None:
    # Nor taken in: what waits for such a client is bounded, and then it is cut off.
    stuck, memory = await victim.count(closed("too_slow")), Memory(victim.pid)
    async with victim.knock(4096) as wire:
        attack = pour(wire, *[frame(PING, bytes(125)) * MANY] * 500)
        assert await by.p99_during(attack) < BUDGET
    assert await victim.count(closed("too_slow")) == stuck + 1
    assert memory.grown < SEND_BUFFER + BOUND


async def test_frames_that_come_byte_by_byte_cost_nothing(victim: Victim, by: Bystander) -> None:
    memory = Memory(victim.pid)
    async with victim.knock() as wire:

        async def trickle() -> None:
            await pour(wire, *(bytes([byte]) for byte in frame(TEXT, b"x" * 5000) + frame(PING)))
            assert (await wire.frame()).opcode == PONG

        assert await by.unmoved(trickle)
    assert memory.grown < BOUND


async def test_many_who_flood_at_once_take_turns(victim: Victim, by: Bystander) -> None:
    memory, floods = Memory(victim.pid), 20

    async def attack() -> None:
        frames = frame(TEXT) * MANY
        await asyncio.gather(*(flood(victim.knock, frames) for _ in range(floods)))

    assert await by.unmoved(attack)
    assert memory.grown < floods * MB
