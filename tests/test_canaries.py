"""Real processes: how they start, how they stop, and that they tell no secret."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import jwt
import pytest

from dsock.http.server import bind
from tests.support.wire import TEXT, dial, frame, handshake, request

TOKEN = "canary-token-51c7"
JWT_SECRET = "canary-jwt-secret-0123456789abcdef"
CLAIM = "canary-claim-9d1e"
USED = "canary-used-claim-77aa"
WRONG = "canary-wrong-38b0-0123456789abcdef"
CANARY = "canary"


class Broker:
    """A process `python -m dsock`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.address = ""
        self._seen = b""

    async def listening(self) -> None:
        """Wait until it says where it listens."""
        assert self.process.stderr
        while b" event=listening" not in (line := await self.process.stderr.readline()):
            assert line, self._seen
            self._seen += line
        self._seen += line
        port = line.partition(b" port=")[2].split()[0].decode()
        self.address = f"127.0.0.1:{port}"

    async def ended(self) -> tuple[int | None, str, str]:
        """Status, standard output and standard error of it all."""
        out, err = await asyncio.wait_for(self.process.communicate(), 20)
        return self.process.returncode, out.decode(), (self._seen + err).decode()

    async def stop(self) -> tuple[int | None, str, str]:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


@asynccontextmanager
async def broker(*arguments: str, **options: str) -> AsyncIterator[Broker]:
    """`dsock` with these arguments and options, and no others."""
    bare = {key: value for key, value in os.environ.items() if not key.startswith("DSOCK_")}
    bare.pop("PORT", None)
    given = {f"DSOCK_{name.upper()}": value for name, value in options.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dsock", *arguments, "--no-config-file"),
        env=bare | {"DSOCK_HOST": "127.0.0.1", "DSOCK_PORT": "0"} | given,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Broker(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# --- secrets -----------------------------------------------------------------------------


def signed(secret: str = JWT_SECRET, **payload: object) -> str:
    return jwt.encode({"sub": "42", "exp": int(time.time()) + 60} | payload, secret)


def secrets_of_calls() -> list[bytes]:
    """Requests, good and bad, with a secret wherever one may stand."""
    calls = [
        ("POST", f"/claim?token={TOKEN}&user=42&id={CLAIM}"),
        ("POST", f"/claim?token={TOKEN}&user=42&id={USED}"),
        ("POST", f"/claim?token={TOKEN}&user=42&id={USED}"),
        ("POST", f"/claim?token={WRONG}&user=42"),
        ("GET", f"/info?token={TOKEN}&user=42"),
        ("GET", f"/info?token={TOKEN}"),
        ("PUT", f"/info?token={TOKEN}"),
        ("GET", f"/nowhere?token={TOKEN}"),
        ("POST", f"/send?token={TOKEN}&user=42&type=text"),
        ("POST", f"/disconnect?token={TOKEN}&user=nobody"),
        ("GET", f"/ping?token={TOKEN}"),
        ("GET", f"/ready?token={TOKEN}"),
        ("GET", f"/connect?claim={CLAIM}"),
        ("GET", f"/connect?claim={WRONG}&claim={CLAIM}"),
        ("GET", f"/connect?jwt={signed()}"),
        ("POST", f"/connect?claim={CLAIM}"),
    ]
    handshakes = [
        handshake(f"/connect?claim={CLAIM}", sec_websocket_version="8"),
        handshake(f"/connect?claim={WRONG}"),
        handshake(f"/connect?claim={USED}"),
        handshake(f"/connect?claim={USED}"),
        handshake(f"/connect?jwt={signed(WRONG)}"),
        handshake("/connect", authorization=f"Bearer {signed()}"),
        handshake("/connect", authorization=f"Bearer {signed(exp=1)}"),
        handshake("/connect", sec_websocket_protocol=f"dsock, dsock.jwt.{signed()}"),
        handshake("/connect", sec_websocket_protocol=f"dsock.jwt.{signed()}"),
        handshake("/connect", sec_websocket_protocol=f"dsock, dsock.claim.{CLAIM}"),
        handshake(f"/connect?claim={WRONG}") + b"early",
    ]
    broken = [
        f"GET /info?token={TOKEN} HTTP/9\r\n\r\n".encode(),
        request("GET", f"/info?token={TOKEN}", x="y" * 20_000),
        request("POST", f"/send?token={TOKEN}&user=42&type=text", content_length="9999999"),
        request("GET", "/info", authorization=f"Basic {TOKEN}"),
        request("CONNECT", "x:1", authorization=f"Bearer {TOKEN}"),
    ]
    return [*(request(*call) for call in calls), *handshakes, *broken]


async def test_b09_b82_no_secret_is_ever_written() -> None:
    secrets = (CANARY, jwt.encode({}, JWT_SECRET).split(".")[0])
    options = {"token": TOKEN, "jwt_secret": JWT_SECRET, "debug": "true", "log_requests": "true"}
    async with broker("serve", **options) as node:
        await node.listening()
        answers, statuses = b"", []
        for call in secrets_of_calls():
            async with dial(node.address) as wire:
                await wire.send(call)
                response = await wire.response()
                statuses.append(response.status)
                if response.status == 101:
                    await wire.send(frame(TEXT, b"\xff"))
                    assert await wire.goodbye() == 1007
                elif response.status >= 400:
                    answers += repr(response).encode()
        assert {101, 200, 400, 401, 404, 405, 413, 426, 431} <= set(statuses)
        async with httpx.AsyncClient() as anyone:
            metrics = (await anyone.get(f"http://{node.address}/metrics")).text
        status, out, err = await node.stop()
    assert status == 0
    # It did speak of what happened, only not of secrets.
    assert "path=/info" in err
    assert "reason=not_text" in err
    assert 'dsock_connects_refused_total{code="MISSING_CLAIM"}' in metrics
    for text in (out, err, metrics, answers.decode()):
        assert not any(secret in text for secret in secrets)


# --- starting ----------------------------------------------------------------------------


async def test_what_cannot_start_says_why_in_one_line() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        cases: list[tuple[str, dict[str, str], str]] = [
            ("serve", {"port": port, "token": TOKEN}, f"port {port} is in use"),
            ("serve", {"port": "x", "token": TOKEN}, "DSOCK_PORT: "),
            ("serve", {"ttl_duration": "1ms", "token": TOKEN}, "DSOCK_TTL_DURATION: "),
            ("serve", {"tokn": TOKEN}, "DSOCK_TOKN is no option; did you mean DSOCK_TOKEN?"),
            ("serve", {"token_file": "/no/such/file"}, "DSOCK_TOKEN_FILE: "),
            ("serve", {"host": "192.0.2.1", "token": TOKEN}, "cannot listen on 192.0.2.1"),
            ("api", {}, "the API needs a token"),
            ("api", {"token": TOKEN, "backend": "memory"}, "the memory backend"),
            ("worker", {"backend": "memory"}, "the memory backend"),
        ]
        await asyncio.gather(*(_fails_to_start(*case) for case in cases))


async def _fails_to_start(role: str, options: dict[str, str], why: str) -> None:
    async with broker(role, **options) as node:
        status, out, err = await node.ended()
    assert (status, out) == (2, ""), err
    (line,) = err.splitlines()
    assert line.startswith(f"dsock {role}: ")
    assert why in line
    assert CANARY not in line


async def test_b45_a_token_that_was_made_is_shown_once_and_works() -> None:
    async with broker("serve") as node:
        await node.listening()
        assert node.process.stdout
        while b"export DSOCK_TOKEN=" not in (line := await node.process.stdout.readline()):
            assert line
        token = line.decode().strip().partition("DSOCK_TOKEN=")[2]
        async with httpx.AsyncClient(base_url=f"http://{node.address}") as anyone:
            info = "/info?user=42"
            assert (await anyone.get(info)).status_code == 401
            assert (await anyone.get(f"{info}&token={token}")).status_code == 200
        _, out, err = await node.stop()
    assert len(token) >= 22
    assert token not in out + err


# --- stopping ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sends_clients_away_and_ends_with_0(number: signal.Signals) -> None:
    options = {"token": TOKEN, "jwt_secret": JWT_SECRET, "drain_duration": "0s"}
    async with broker("serve", **options) as node:
        await node.listening()
        async with dial(node.address) as wire:
            await wire.send(handshake(f"/connect?jwt={signed()}"))
            assert (await wire.response()).status == 101
            node.process.send_signal(number)
            assert await wire.goodbye() == 1012
            status, _, err = await node.ended()
    assert status == 0
    assert "Traceback" not in err


async def test_a_second_signal_ends_at_once() -> None:
    options = {"token": TOKEN, "drain_delay": "60s"}
    async with broker("serve", **options) as node:
        await node.listening()
        node.process.send_signal(signal.SIGTERM)
        async with httpx.AsyncClient(base_url=f"http://{node.address}") as anyone:
            while (await anyone.get("/ready")).status_code == 200:
                pass
        status, _, _ = await node.stop()
    assert status == 128 + signal.SIGTERM
