"""What is in the log, and what only when it is asked for."""

from __future__ import annotations

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.cluster import TOKEN
from tests.support.process import process


async def logged(**options: str) -> str:
    """What a node with these options logs of a call and of a client that comes and goes."""
    async with process("serve", drain_duration="0s", **options) as node:
        address = await node.listening()
        async with httpx.AsyncClient(base_url=f"http://{address}") as anyone:
            claim = await anyone.post(f"/claim?token={TOKEN}&user=u")
            async with connect(f"ws://{address}/connect?claim={claim.json()['claim']['id']}"):
                await anyone.post(f"/disconnect?token={TOKEN}&user=u")
        await node.kill()
    return "\n".join(node.log)


async def test_requests_and_clients_are_not_logged_unless_asked_for() -> None:
    log = await logged()
    assert "listening" in log
    assert "path=" not in log
    assert "level=debug" not in log


async def test_with_log_requests_calls_and_handshakes_are_logged() -> None:
    log = await logged(log_requests="true")
    for path in ("/claim", "/connect", "/disconnect"):
        assert f"path={path} " in log
    assert "level=debug" not in log


async def test_with_debug_clients_that_come_and_go_are_logged() -> None:
    log = await logged(debug="true")
    [opened] = [line for line in log.splitlines() if "connection opened" in line]
    [closed] = [line for line in log.splitlines() if "connection closed" in line]
    assert "level=debug" in opened
    assert "user=u" in opened
    assert "reason=disconnected" in closed
    assert "path=" not in log


@pytest.mark.parametrize("option", ["debug", "log_requests"])
async def test_false_is_the_same_as_not_asked_for(option: str) -> None:
    log = await logged(**{option: "false"})
    assert "path=" not in log
    assert "level=debug" not in log
