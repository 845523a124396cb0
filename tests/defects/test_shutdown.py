"""Told to stop: in time, whoever stalls, and nobody who was accepted is forgotten."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack, suppress

import jwt
import pytest

from dsock.close import Goodbye
from dsock.node import Role
from tests.faults.support import keys
from tests.support.cluster import JWT_SECRET, Caller, Cluster
from tests.support.eventually import eventually
from tests.support.process import process
from tests.support.redis_server import RedisServer
from tests.support.steps import READ, RECORD, ROUTE, TAKE, stepped
from tests.support.wire import Wire, dial, handshake, open_wire

STORMS = 8
SWITCHED = b"HTTP/1.1 101"
CLOSED = (
    bytes([0x88, 2 + len(Goodbye.SHUTTING_DOWN.reason)])
    + Goodbye.SHUTTING_DOWN.code.to_bytes(2, "big")
    + Goodbye.SHUTTING_DOWN.reason.encode()
)


def credential(user: str) -> str:
    return f"jwt={jwt.encode({'sub': user, 'exp': 2**32}, JWT_SECRET)}"


async def test_b40_a_stalled_client_does_not_keep_a_process_from_ending() -> None:
    drain = 0.3
    options = {"drain_duration": f"{drain}s", "max_message_size": "16MiB"}
    async with process("serve", **options) as node:
        address = await node.listening()
        caller = Caller(f"http://{address}")
        async with caller.http, open_wire(address, credential("stalled"), 4096):
            sent = await caller.send(b"x" * 2**23, "binary", user="stalled")
            assert sent.report["connections"] == 1
            node.signal(signal.SIGTERM)
            async with asyncio.timeout(drain + 5):
                assert await node.ended() == 0


async def storm(address: str, knocks: list[str]) -> list[bytes]:
    """Clients knock one after the other until nobody opens any more, and stay until they are
    closed; returns what each of them has read."""
    async with AsyncExitStack() as stack:
        wires: list[Wire] = []
        with suppress(ConnectionError):
            while True:
                knocks.append(f"user-{len(knocks)}")
                wire = await stack.enter_async_context(dial(address))
                await wire.send(handshake(f"/connect?{credential(knocks[-1])}"))
                wires.append(wire)
        return await asyncio.gather(*(wire.end() for wire in wires))


@pytest.mark.parametrize("role", ["serve", "worker"])
async def test_b41_who_is_accepted_while_a_worker_stops_is_told_and_leaves_no_key(
    redis: RedisServer, role: Role
) -> None:
    async with process(role, redis_host=redis.address, drain_duration="200ms") as node:
        knocks: list[str] = []
        address = await node.listening()
        storms = [asyncio.create_task(storm(address, knocks)) for _ in range(STORMS)]
        await eventually(lambda: len(knocks) > 100)
        node.signal(signal.SIGTERM)
        reads = [read for one in storms for read in await one]
        assert await node.ended() == 0
    let_in = [read for read in reads if read.startswith(SWITCHED)]
    assert 0 < len(let_in) < len(knocks)
    assert [read for read in let_in if not read.endswith(CLOSED)] == []
    assert keys(redis) == set()


@pytest.mark.parametrize("options", [{"drain_duration": 0.0}])
@pytest.mark.parametrize("moment", [READ, ROUTE, TAKE, RECORD])
async def test_b41_who_is_being_let_in_while_a_worker_stops_is_told_and_stays_out(
    cluster: Cluster, moment: str
) -> None:
    steps = stepped(cluster.nodes[0])
    claim = await cluster.api.claim("user")
    async with dial(cluster.workers[0]) as wire:
        async with steps.held_before(moment) as arrived:
            await wire.send(handshake(f"/connect?claim={claim}"))
            await arrived()
            await cluster.nodes[0].drain()
        refusal = await wire.response()
        assert (refusal.status, refusal.code) == (503, "SHUTTING_DOWN")
    assert (await cluster.api.info(user="user"))["connections"] == []
