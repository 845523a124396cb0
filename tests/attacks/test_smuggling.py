"""Requests that hide another: read in two ways by two who read them, one of which carries the
second out. Direct, and behind nginx (with the block of `docs/operations.md`) and haproxy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.attacks.proxies import haproxy, nginx
from tests.attacks.support import Bystander, Victim, pour
from tests.support.cluster import TOKEN
from tests.support.wire import KEY, dial, handshake, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEND = f"/send?token={TOKEN}&type=text&user=bystander"
HIDDEN = request("POST", SEND, b"hidden")
UPGRADE = f"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: {KEY}\r\n"


def head(*lines: str, target: str = "/connect") -> bytes:
    return "\r\n".join((f"POST {target} HTTP/1.1", "host: x", *lines, "", "")).encode()


def framed(*lines: str) -> bytes:
    """A request whose body ends at once by the one reading, and not by the other."""
    return head(*lines) + b"0\r\n\r\n" + HIDDEN


SIZE = len(b"0\r\n\r\n" + HIDDEN)
TE = "transfer-encoding: chunked"

AMBIGUOUS = {
    "CL.TE": framed(f"content-length: {SIZE}", TE),
    "TE.CL": framed(TE, "content-length: 5"),
    "TE.0": framed(TE, "content-length: 0"),
    "two lengths": framed("content-length: 5", f"content-length: {SIZE}"),
    "two lengths in one": framed(f"content-length: 5, {SIZE}"),
    "a length with a plus": framed("content-length: +5"),
    "a length with a space": framed("content-length: 5 5"),
    "a length in hexadecimal": framed("content-length: 0x5"),
    "a length with an underscore": framed("content-length: 5_0"),
    "a negative length": framed("content-length: -5"),
    "a length that overflows": framed(f"content-length: {2**64 + 5}"),
    "a length and no value": framed("content-length:"),
    "chunked twice": framed(TE, TE, "content-length: 5"),
    "chunked and identity": framed(f"{TE}, identity", "content-length: 5"),
    "identity and chunked": framed("transfer-encoding: identity, chunked", "content-length: 5"),
    "identity, chunked and no length": framed("transfer-encoding: identity, chunked"),
    "another coding and no length": framed("transfer-encoding: gzip, chunked"),
    "a coding before chunked": framed("transfer-encoding: xchunked", "content-length: 5"),
    "a coding in quotes": framed('transfer-encoding: "chunked"', "content-length: 5"),
    "a coding with a tab": framed("transfer-encoding:\x0bchunked", "content-length: 5"),
    "a space before the colon": framed("transfer-encoding : chunked", "content-length: 5"),
    "a tab before the colon": framed("transfer-encoding\t: chunked", "content-length: 5"),
    "a coding on the next line": framed("transfer-encoding:", " chunked", "content-length: 5"),
    "a length on the next line": framed("content-length:", f" {SIZE}"),
    "a header behind a bare CR": framed(f"x: y\rtransfer-encoding: chunked\r\ncontent-length: {5}"),
    "a NUL in a name": framed("transfer-encoding\x00: chunked", "content-length: 5"),
    "a NUL in a value": framed("content-length: 5\x00"),
    "a name with a space before it": framed("x: y", " transfer-encoding: chunked"),
    "a header without a name": framed(": x", "content-length: 5"),
    "two hosts": head("host: y", "content-length: 0") + HIDDEN,
    "an upgrade with a body": head(*UPGRADE.split("\r\n")[:-1], "content-length: 5", TE) + HIDDEN,
}
"""Nobody may read these as one request and another: they are no request."""

BODIES = {
    "a chunk's size that overflows": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a chunk's size with a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "a chunk's size in hexadecimal": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk's size with an underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "a chunk without a size": b"\r\nhello\r\n0\r\n\r\n",
    "a chunk that is longer than it says": b"3\r\nhello\r\n0\r\n\r\n",
    "a chunk that ends with bare CR": b"5\rhello\r\n0\r\n\r\n",
    "a chunk's end with bare LF": b"5\r\nhello\n0\r\n\r\n",
    "a chunk's size with bare LF": b"5\nhello\r\n0\r\n\r\n",
    "an extension with bare LF": b"5;a\nhello\r\n0\r\n\r\n",
    "an extension with bare CR": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "a NUL in a chunk's size": b"5\x00\r\nhello\r\n0\r\n\r\n",
}
"""Chunked bodies that are none."""

REFUSED = 'dsock_requests_refused_total{code="INVALID_REQUEST"}'


def statuses(answers: bytes) -> list[int]:
    """Of all responses in there."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answers)]


# --- direct ------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_a_request_that_can_be_read_in_two_ways_is_none(
    victim: Victim, by: Bystander, payload: bytes
) -> None:
    before = await victim.count(REFUSED)
    async with dial(victim.address) as wire:
        await wire.send(payload)
        assert statuses(await wire.end()) == [400]
    # Who was sent what is hidden in there would say so.
    await by.round()
    assert await victim.count(REFUSED) == before + 1


@pytest.mark.parametrize("target", ["/connect", SEND])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_that_can_be_read_in_two_ways_ends_the_connection(
    victim: Victim, by: Bystander, target: str, body: bytes
) -> None:
    for parts in (
        [head(TE, target=target) + body + HIDDEN],
        [head(TE, target=target), body, HIDDEN],
    ):
        async with dial(victim.address) as wire:
            await pour(wire, *parts)
            assert len(statuses(await wire.end())) == 1
        await by.round()


@pytest.mark.parametrize(
    "start",
    [
        handshake("/connect?claim=none", sec_websocket_version="8"),
        handshake("/connect?claim=none"),
        handshake(
            "/connect?claim=none", content_length=str(len(HIDDEN)), connection="close, upgrade"
        ),
    ],
    ids=["version", "claim", "length"],
)
async def test_behind_a_handshake_that_fails_comes_no_request(
    victim: Victim, by: Bystander, start: bytes
) -> None:
    # A proxy that takes it for one that succeeded passes on whatever comes next.
    for parts in ([start + HIDDEN], [start, HIDDEN]):
        async with dial(victim.address) as wire:
            await pour(wire, *parts)
            assert len(statuses(await wire.end())) == 1
        await by.round()


async def test_an_offer_of_http_2_is_one_request_and_no_tunnel(
    victim: Victim, by: Bystander
) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    offer = request("GET", "/ping", upgrade="h2c", connection="upgrade, http2-settings")
    async with dial(victim.address) as wire:
        await wire.send(offer, preface, HIDDEN)
        assert statuses(await wire.end())[1:] in ([], [400])
    await by.round()


# --- behind a proxy that lets through /connect and nothing else -------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["nginx", "haproxy"])
async def proxy(
    request: pytest.FixtureRequest, victim: Victim, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The address of a proxy in front of the node."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    start = nginx if request.param == "nginx" else haproxy
    async with start(victim.address, folder) as address:
        yield address


BEHIND = {
    **AMBIGUOUS,
    **{name: head(TE) + body + HIDDEN for name, body in BODIES.items()},
    "a request behind a whole one": head("content-length: 0") + HIDDEN,
    "a handshake that fails": handshake("/connect?claim=x", sec_websocket_version="8") + HIDDEN,
    "a handshake without a claim": handshake("/connect?claim=x") + HIDDEN,
    "a handshake with a body": handshake("/connect?claim=x", content_length="5") + HIDDEN,
    "an offer of HTTP/2": request("GET", "/connect", upgrade="h2c", connection="upgrade") + HIDDEN,
    "an old request": b"GET /connect HTTP/1.0\r\nconnection: keep-alive\r\n\r\n" + HIDDEN,
    "a path around": request("POST", "/connect/.." + SEND, b"hidden"),
    "an encoded path around": request("POST", "/connect/%2e%2e" + SEND, b"hidden"),
    "a path with a fragment": request("POST", "/connect#/.." + SEND, b"hidden"),
    "another host's": request("POST", "http://y" + SEND, b"hidden"),
}


@pytest.mark.parametrize("payload", BEHIND.values(), ids=BEHIND)
async def test_nothing_hidden_gets_past_a_proxy(
    victim: Victim, by: Bystander, proxy: str, payload: bytes
) -> None:
    async with dial(proxy) as wire:
        await pour(wire, payload)
        wire.sock.shutdown(1)
        await wire.end()
    await by.round()
    # Nor does it leave an answer behind for whoever is next.
    for _ in range(2):
        async with dial(proxy) as other:
            await other.send(request("GET", "/connect?claim=unknown-claim"))
            response = await other.response()
            assert (response.status, response.code) == (401, "MISSING_CLAIM")


@pytest.mark.parametrize("path", ["/metrics", "/ready", "/_/message", SEND, "/docs", "/ping"])
async def test_a_proxy_lets_through_connect_and_nothing_else(
    victim: Victim, proxy: str, path: str
) -> None:
    async with dial(proxy) as wire:
        await wire.send(request("POST", path, b"x", connection="close"))
        assert statuses(await wire.end())[0] in (403, 404)


async def test_clients_connect_through_a_proxy(victim: Victim, proxy: str) -> None:
    async with AsyncExitStack() as stack:
        for user in ("one", "other"):
            wire = await stack.enter_async_context(dial(proxy))
            await wire.send(handshake(f"/connect?{await victim.credential(user)}"))
            assert (await wire.response()).status == 101
            assert (await victim.api.send(f"hello {user}", user=user)).report["connections"] == 1
            assert (await wire.frame()).body == f"hello {user}".encode()
