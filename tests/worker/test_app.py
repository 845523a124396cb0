"""A handshake is a request like any other: it is counted and logged, whatever becomes of it."""

from __future__ import annotations

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.cluster import Cluster, memory_cluster
from tests.support.eventually import eventually
from tests.support.process import process


async def counted(node: Cluster, status: int) -> bool:
    text = (await node.api.http.get("/metrics")).text
    return f'dsock_request_seconds_count{{route="/connect",status="{status}"}} 1.0' in text


async def test_who_was_let_in_and_who_was_not_are_counted() -> None:
    async with memory_cluster() as node:
        async with node.client("u"):
            assert await counted(node, 101)
        with pytest.raises(InvalidStatus):
            await connect(node.url("?claim=unknown-claim"))
        assert await counted(node, 401)


async def test_requests_that_are_logged_include_handshakes_without_their_credentials() -> None:
    async with process("serve", log_requests="true") as started:
        address = await started.listening()
        with pytest.raises(InvalidStatus):
            await connect(f"ws://{address}/connect?claim=unknown-claim")
        # The answer leaves before its line is written.
        await eventually(lambda: any("path=/connect" in line for line in started.log))
    [line] = [line for line in started.log if "path=/connect" in line]
    assert "status=401" in line
    assert "client=127.0.0.1" in line
    assert "unknown-claim" not in line
