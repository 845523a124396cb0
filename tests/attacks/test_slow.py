"""Connections that keep a node waiting, a thousand at once, and a node that runs out of files."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest
import pytest_asyncio

from bench.machine import cpu_seconds
from dsock.http.server import raise_file_limit
from tests.attacks import support
from tests.attacks.hasty import PATIENCE
from tests.attacks.support import (
    BUDGET,
    HASTY,
    MB,
    Bystander,
    Memory,
    Victim,
    bystander,
    crowd,
    files,
)
from tests.support.cluster import TOKEN
from tests.support.eventually import eventually, holds_within
from tests.support.process import process
from tests.support.redis_server import RedisServer
from tests.support.wire import dial, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 1000
"""Connections at once."""

BOUND = 15 * MB
"""What so many may cost; an idle one of them is some 10 KB."""

TIMEOUT = 'dsock_requests_refused_total{code="REQUEST_TIMEOUT"}'

HALF_A_BODY = request("POST", "/nowhere", b"12", content_length="5")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim() -> AsyncIterator[Victim]:
    """An API and a worker, each a process."""
    raise_file_limit()
    with RedisServer() as redis:
        options = {"redis_host": redis.address, "ping_interval": "1h"}
        async with AsyncExitStack() as stack:
            start = stack.enter_async_context
            worker = await start(process("worker", command=HASTY, **options))
            api = await start(process("api", command=HASTY, **options))
            victim = Victim(api, worker, await api.listening(), await worker.listening())
            await start(victim.api.http)
            yield victim


@pytest.mark.parametrize("role", ["api", "worker"])
@pytest.mark.parametrize(
    ("start", "refused"),
    [
        pytest.param(b"", MANY, id="silent"),
        pytest.param(b"GET /ping HTTP/1.1\r\nhost: x\r\n", MANY, id="half a head"),
        pytest.param(HALF_A_BODY, 0, id="half a body that nobody waits for"),
        pytest.param(b"\x16\x03\x01\x02\x00", MANY, id="the beginning of TLS"),
    ],
)
async def test_a_thousand_that_keep_a_node_waiting_are_cut_off_in_time_and_delay_nobody(
    victim: Victim, by: Bystander, role: str, start: bytes, refused: int
) -> None:
    pid, before = victim.processes[role].pid, await victim.count(TIMEOUT, role)
    memory, open_before = Memory(pid), files(pid)
    async with crowd(victim.addresses[role], MANY, start) as wires:
        ends = asyncio.gather(*(wire.end() for wire in wires))
        assert await by.p99() < BUDGET
        async with asyncio.timeout(PATIENCE + 5):
            await ends
    await eventually(lambda: files(pid) <= open_before)
    assert memory.grown < BOUND
    if start[:1] != b"\x16":  # which is refused at once, as no HTTP
        assert await victim.count(TIMEOUT, role) == before + refused


async def test_a_thousand_bodies_that_stop_half_way_are_cut_off_in_time_and_delay_nobody(
    victim: Victim, by: Bystander
) -> None:
    pid, before = victim.processes["api"].pid, await victim.count(TIMEOUT, "api")
    memory, open_before = Memory(pid), files(pid)
    send = f"/send?token={TOKEN}&type=text&user=nobody"
    start = request("POST", send, bytes(10_000), content_length="20000")
    async with crowd(victim.addresses["api"], MANY, start) as wires:
        ends = asyncio.gather(*(wire.response() for wire in wires))
        assert await by.p99() < BUDGET
        async with asyncio.timeout(PATIENCE + 5):
            assert {response.code for response in await ends} == {"REQUEST_TIMEOUT"}
    await eventually(lambda: files(pid) <= open_before)
    assert memory.grown < BOUND + MANY * 20_000
    assert await victim.count(TIMEOUT, "api") == before + MANY


@pytest.mark.parametrize("role", ["api", "worker"])
async def test_a_body_that_nobody_waits_for_may_not_trickle_in_without_end(
    victim: Victim, by: Bystander, role: str
) -> None:
    async with dial(victim.addresses[role]) as wire:
        await wire.send(request("POST", "/nowhere", transfer_encoding="chunked"))
        assert (await wire.response()).status == 404
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE + 5):
                while True:
                    await wire.send(b"1\r\nx\r\n")
                    await by.round()


async def test_a_node_without_a_file_left_goes_on_and_does_not_spin() -> None:
    async with support.victim() as victim, bystander(victim, "by") as by:
        pid = victim.pid
        few = files(pid) + 20
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, few))
        memory = Memory(pid)
        async with crowd(victim.address, 200):
            await eventually(lambda: files(pid) >= few - 2)
            used = cpu_seconds([pid])
            assert not await holds_within(lambda: cpu_seconds([pid]) - used > 0.5, 1.0)
            await by.p99(20)
        assert memory.grown < 4 * MB

        async def served() -> bool:
            with suppress(ConnectionError, AssertionError):
                async with dial(victim.address) as wire:
                    await wire.send(request("GET", "/ping"))
                    return (await wire.response()).body == b"pong"
            return False

        await eventually(served, within=PATIENCE + 10)
