"""Requests as they come off the wire: good ones, odd ones, and attacks."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from dsock.http.incoming import Incoming, Reader
from tests.support.cluster import TOKEN, Cluster, memory_cluster
from tests.support.wire import Wire, dial, frame, handshake, request

SEND = f"/send?token={TOKEN}&type=text&user=42"
CLAIM = f"/claim?token={TOKEN}&user=42"
PING = request("GET", "/ping")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Cluster]:
    """One node for all: what comes off one wire changes nothing for the next."""
    async with memory_cluster() as cluster:
        yield cluster


async def exchange(node: Cluster, *parts: bytes) -> tuple[int, str]:
    """Status and error code (empty for a success) of what is answered to these segments."""
    async with dial(node.workers[0]) as wire:
        for part in parts:
            await wire.send(part)
        response = await wire.response()
        failed = response.headers.get("content-type") == "application/json"
        return response.status, response.json.get("errorCode", "") if failed else ""


async def refused(node: Cluster, *parts: bytes) -> tuple[int, str]:
    """Like `exchange`, and nothing comes after the answer but the end."""
    async with dial(node.workers[0]) as wire:
        for part in parts:
            await wire.send(part)
        response = await wire.response()
        assert await wire.end() == b""
        return response.status, response.code


# --- an Upgrade that is no WebSocket's ---------------------------------------------------


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "h2c, websocket", "TLS/1.0"])
async def test_a_post_that_offers_an_upgrade_keeps_its_body(node: Cluster, protocol: str) -> None:
    async with node.client("42") as client, dial(node.workers[0]) as wire:
        await wire.send(
            request(
                "POST",
                SEND,
                b"hello",
                upgrade=protocol,
                connection="Upgrade, HTTP2-Settings",
                http2_settings="AAMAAABkAAQAAP__",
            )
        )
        response = await wire.response()
        assert (response.status, response.json["report"]["connections"]) == (200, 1)
        assert await client.recv() == "hello"


async def test_a_chunked_post_that_offers_an_upgrade_keeps_its_body(node: Cluster) -> None:
    head = request("POST", SEND, upgrade="h2c", connection="upgrade", transfer_encoding="chunked")
    async with node.client("42") as client, dial(node.workers[0]) as wire:
        await wire.send(head, b"3\r\nhel\r\n")
        await wire.send(b"2\r\nlo\r\n0\r\n\r\n")
        assert (await wire.response()).json["report"]["connections"] == 1
        assert await client.recv() == "hello"


async def test_a_connection_serves_requests_after_an_ignored_upgrade(node: Cluster) -> None:
    async with dial(node.workers[0]) as wire:
        await wire.send(request("POST", CLAIM, upgrade="h2c", connection="Upgrade"), PING)
        assert (await wire.response()).json["claim"]["user"] == "42"
        assert (await wire.response()).body == b"pong"


async def test_an_ignored_upgrade_does_not_lose_the_wish_to_close(node: Cluster) -> None:
    async with dial(node.workers[0]) as wire:
        await wire.send(request("GET", "/ping", upgrade="h2c", connection="close, Upgrade"))
        assert (await wire.end()).endswith(b"pong")


async def test_a_websocket_handshake_elsewhere_is_an_ordinary_request(node: Cluster) -> None:
    assert await exchange(node, handshake("/nowhere")) == (404, "NOT_FOUND")


# --- a WebSocket's -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"connection": "keep-alive, Upgrade"},
        {"connection": "upgrade"},
        {"connection": "Upgrade,Keep-Alive"},
        {"upgrade": "WebSocket"},
        {"upgrade": "h2c, websocket"},
    ],
    ids=str,
)
async def test_browsers_write_their_handshakes_in_many_ways(
    node: Cluster, headers: dict[str, str]
) -> None:
    claim = await node.api.claim("42")
    assert await exchange(node, handshake(f"/connect?claim={claim}", **headers)) == (101, "")


async def test_header_names_come_in_any_case(node: Cluster) -> None:
    claim = await node.api.claim("42")
    head = handshake(f"/connect?claim={claim}").decode()
    target, _, headers = head.partition("\r\n")
    names = "\r\n".join(
        f"{name.upper()}:{value}"
        for name, _, value in (line.partition(":") for line in headers.strip().split("\r\n"))
    )
    assert await exchange(node, f"{target}\r\n{names}\r\n\r\n".encode()) == (101, "")


async def test_a_handshake_may_come_byte_by_byte(node: Cluster) -> None:
    head = handshake(f"/connect?claim={await node.api.claim('42')}")
    assert await exchange(node, *(bytes([byte]) for byte in head)) == (101, "")


async def test_a_handshake_may_follow_a_finished_request(node: Cluster) -> None:
    claim = await node.api.claim("42")
    async with dial(node.workers[0]) as wire:
        await wire.send(PING)
        assert (await wire.response()).body == b"pong"
        await wire.send(handshake(f"/connect?claim={claim}"))
        assert (await wire.response()).status == 101


async def test_a_handshake_behind_an_unfinished_request_is_no_handshake(node: Cluster) -> None:
    claim = await node.api.claim("42")
    async with dial(node.workers[0]) as wire:
        await wire.send(PING, handshake(f"/connect?claim={claim}"))
        assert (await wire.response()).body == b"pong"
        assert (await wire.response()).code == "UPGRADE_REQUIRED"
    async with dial(node.workers[0]) as wire:
        await wire.send(handshake(f"/connect?claim={claim}"))
        assert (await wire.response()).status == 101


@pytest.mark.parametrize("rest", [frame(1, b"hi"), PING, b"\x00"], ids=["frame", "request", "nul"])
async def test_nobody_speaks_before_the_101(node: Cluster, rest: bytes) -> None:
    claim = await node.api.claim("42")
    early = handshake(f"/connect?claim={claim}") + rest
    assert await refused(node, early) == (400, "INVALID_HANDSHAKE")
    assert await exchange(node, handshake(f"/connect?claim={claim}")) == (101, "")


# --- what is not HTTP, or too much of it -------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 64,
        b"GET\r\n\r\n",
        b"GET /ping HTTP/9.9\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nhost : dsock.test\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["tls", "nuls", "short", "version", "header", "space", "http2"],
)
async def test_garbage_is_a_bad_request(node: Cluster, garbage: bytes) -> None:
    assert await refused(node, garbage) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "head",
    [
        f"POST {SEND} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n",
        f"POST {SEND} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n",
        f"POST {SEND} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n",
        f"POST {SEND} HTTP/1.1\r\nhost: x\r\ncontent-length: 4, 5\r\n",
        f"POST {SEND} HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n",
        f"POST {SEND} HTTP/1.1\r\nhost: x\r\ncontent-length: +4\r\n",
        f"POST {SEND} HTTP/1.1\r\nhost: x\r\ncontent-length: {'9' * 40}\r\n",
        f"POST {SEND} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n",
        f"POST {SEND} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n folded: 5\r\n",
    ],
    ids=["cl-te", "te-cl", "two", "list", "negative", "plus", "huge", "identity", "folded"],
)
@pytest.mark.parametrize("upgrade", ["", "upgrade: h2c\r\nconnection: upgrade\r\n"])
async def test_a_body_whose_end_is_disputed_is_refused_and_nothing_is_sent(
    node: Cluster, head: str, upgrade: str
) -> None:
    async with node.client("42") as client:
        body = b"0\r\n\r\n" + PING
        assert await refused(node, (head + upgrade + "\r\n").encode() + body) == (
            400,
            "INVALID_REQUEST",
        )
        await node.api.send("only this", user="42")
        assert await client.recv() == "only this"


@pytest.mark.parametrize(
    "head",
    [
        request("GET", "/ping", x="y" * 17_000),
        request("GET", "/ping?" + "y" * 17_000),
        request("GET", "/ping", **{f"x{number}": "y" for number in range(101)}),
        handshake("/connect", x="y" * 17_000),
        handshake("/connect", **{f"x{number}": "y" for number in range(101)}),
    ],
    ids=["header", "target", "number", "handshake", "handshake-number"],
)
async def test_b12_headers_too_long_or_too_many_are_refused(node: Cluster, head: bytes) -> None:
    assert await refused(node, head) == (431, "HEADERS_TOO_LARGE")


async def test_b12_headers_without_an_end_are_refused(node: Cluster) -> None:
    pieces = [b"GET /ping HTTP/1.1\r\n", *[b"x: " + b"y" * 1_000 + b"\r\n"] * 17]
    assert await refused(node, *pieces) == (431, "HEADERS_TOO_LARGE")


async def test_headers_just_below_the_limits_pass(node: Cluster) -> None:
    many = {f"x{number}": "y" * 100 for number in range(99)}
    assert await exchange(node, request("GET", "/ping", **many)) == (200, "")


@pytest.mark.parametrize("upgrade", [{}, {"upgrade": "h2c", "connection": "upgrade"}])
async def test_we_are_no_proxy(node: Cluster, upgrade: dict[str, str]) -> None:
    tunnel = request("CONNECT", "example.com:443", **upgrade)
    assert await refused(node, tunnel) == (405, "METHOD_NOT_ALLOWED")


async def test_http_1_0_is_answered_and_closed(node: Cluster) -> None:
    async with dial(node.workers[0]) as wire:
        await wire.send(b"GET /ping HTTP/1.0\r\n\r\n")
        assert (await wire.response()).body == b"pong"
        assert await wire.end() == b""


async def test_a_websocket_needs_http_1_1(node: Cluster) -> None:
    claim = await node.api.claim("42")
    head = handshake(f"/connect?claim={claim}").replace(b"HTTP/1.1", b"HTTP/1.0")
    status, code = await exchange(node, head)
    assert (status, code) in [(426, "UPGRADE_REQUIRED"), (400, "INVALID_HANDSHAKE")]


async def test_pipelined_requests_are_answered_in_order(node: Cluster) -> None:
    async with node.client("42") as client, dial(node.workers[0]) as wire:
        await wire.send(*(request("POST", SEND, str(number).encode()) for number in range(50)))
        answers = [await wire.response() for _ in range(50)]
        assert {answer.status for answer in answers} == {200}
        assert [await client.recv() for _ in range(50)] == [str(number) for number in range(50)]


@pytest.mark.parametrize(
    "behind", [b"garbage\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"], ids=["garbage", "no host"]
)
@pytest.mark.parametrize("count", [1, 2, 3])
async def test_what_came_whole_is_answered_whatever_is_wrong_behind_it(
    node: Cluster, count: int, behind: bytes
) -> None:
    async with dial(node.workers[0]) as wire:
        sends = [request("POST", f"{SEND}&report=true", b"x")] * count
        await wire.send(b"".join((*sends, behind)))
        assert [(await wire.response()).status for _ in sends] == [200] * count
        assert await wire.end() == b""


async def test_a_body_waits_for_no_turn(node: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[Reader] = []
    monkeypatch.setattr(Incoming, "add", lambda _, reader: waited.append(reader))
    async with dial(node.workers[0]) as wire:
        await wire.send(request("POST", SEND, b"x" * 60_000))
        assert (await wire.response()).status == 200
    assert not waited


async def test_who_sends_nothing_after_its_request_is_answered(node: Cluster) -> None:
    async with dial(node.workers[0]) as wire:
        await wire.send(PING)
        wire.sock.shutdown(socket.SHUT_WR)
        assert (await wire.response()).body == b"pong"


# --- bodies ------------------------------------------------------------------------------


async def test_b32_a_body_declared_too_large_is_refused_before_it_comes(node: Cluster) -> None:
    head = request("POST", SEND, content_length=str(2**31))
    assert await exchange(node, head) == (413, "MESSAGE_TOO_LARGE")


async def test_b32_a_body_without_an_end_costs_no_memory() -> None:
    async with memory_cluster(max_message_size=2**20) as node, dial(node.workers[0]) as wire:
        chunk = b"10000\r\n" + b"x" * 2**16 + b"\r\n"
        tracemalloc.start()
        try:
            await wire.send(request("POST", SEND, transfer_encoding="chunked"))
            flood = asyncio.create_task(_flood(wire, chunk))
            assert (await wire.response()).code == "MESSAGE_TOO_LARGE"
            assert await flood < 2**27
            assert tracemalloc.get_traced_memory()[1] < 2**23
        finally:
            tracemalloc.stop()


async def test_b32_trailers_without_an_end_cost_no_memory(node: Cluster) -> None:
    async with dial(node.workers[0]) as wire:
        tracemalloc.start()
        try:
            await wire.send(request("POST", "/ping", transfer_encoding="chunked"), b"0\r\n")
            with suppress(ConnectionResetError, BrokenPipeError):
                for _ in range(100):
                    await wire.send((b"x: " + b"y" * 1_000 + b"\r\n") * 100)
            assert tracemalloc.get_traced_memory()[1] < 2**22
        finally:
            tracemalloc.stop()


async def test_a_trailer_is_no_header(node: Cluster) -> None:
    chunked = request("POST", "/send?user=42&type=text", transfer_encoding="chunked")
    body = f"0\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode()
    assert await exchange(node, chunked + body) == (401, "INVALID_AUTHORIZATION")


async def _flood(wire: Wire, chunk: bytes) -> int:
    """How many bytes go through until the other side hangs up."""
    sent = 0
    with suppress(ConnectionResetError, BrokenPipeError):
        while True:
            await wire.send(chunk)
            sent += len(chunk)
    return sent


async def test_a_connection_goes_on_after_a_body_that_was_too_large() -> None:
    async with memory_cluster(max_message_size=4) as node, dial(node.workers[0]) as wire:
        await wire.send(request("POST", SEND, b"12345"), request("POST", SEND, b"1234"))
        assert (await wire.response()).code == "MESSAGE_TOO_LARGE"
        assert (await wire.response()).status == 200


@pytest.mark.parametrize("size", [2**14, 2**14 + 1, 2**16, 2**18, 2**20])
@pytest.mark.parametrize("first", [0, 1, 100])
async def test_a_body_in_several_segments_is_no_header(
    node: Cluster, size: int, first: int
) -> None:
    body = b"x" * size
    async with dial(node.workers[0]) as wire:
        await wire.send(request("POST", SEND, body[:first], content_length=str(size)))
        await wire.send(body[first:])
        assert (await wire.response()).status == 200
        await wire.send(PING)
        assert (await wire.response()).body == b"pong"


async def test_a_body_that_is_cut_off_is_not_sent(node: Cluster) -> None:
    async with node.client("42") as client:
        async with dial(node.workers[0]) as wire:
            await wire.send(request("POST", SEND, b"hel", content_length="5"))
        async with dial(node.workers[0]) as wire:
            await wire.send(request("POST", SEND, transfer_encoding="chunked"), b"3\r\nhel\r\n")
        await node.api.send("only this", user="42")
        assert await client.recv() == "only this"
