"""What atheris calls, for each of the four: bytes in, an exception when something is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

import uvloop

from dsock.command import MessageType, Send, Subscribe
from dsock.report import Outcome
from dsock.target import ToChannel, ToUser
from dsock.wire.codec import Answers, Letter, encode, encode_answers, encode_letters, encode_probe
from tests.fuzz.client import require_as_expected
from tests.fuzz.door import Door, door
from tests.fuzz.mail import require_sound
from tests.support.cluster import TOKEN
from tests.support.wire import BINARY, CLOSE, PING, PONG, TEXT, frame, handshake, request

LIMIT = 300
"""Bytes that a client's message may have."""

BITS = (0, 9, 15)

Try = Callable[[bytes], None]


class Target(NamedTuple):
    """`seeds` are inputs to begin with; `made` makes what tries one, on a loop of its own."""

    seeds: list[bytes]
    made: Callable[[asyncio.AbstractEventLoop], Try]


def _pieces(data: bytes) -> list[bytes]:
    # The first byte is the size of a segment, 0 for all in one.
    size, rest = (data[0] if data else 0), data[1:]
    step = size or len(rest) or 1
    return [rest[start : start + step] for start in range(0, len(rest), step)]


def _frames(loop: asyncio.AbstractEventLoop) -> Try:
    async def tried(data: bytes) -> None:
        # The first byte is about compression.
        bits = BITS[(data[0] if data else 0) % len(BITS)]
        require_as_expected(_pieces(data[1:]), LIMIT, bits)

    return lambda data: loop.run_until_complete(tried(data))


def _mail(_: asyncio.AbstractEventLoop) -> Try:
    return require_sound


def _door(loop: asyncio.AbstractEventLoop) -> Door:
    # It stays open: the process ends with the search.
    return loop.run_until_complete(AsyncExitStack().enter_async_context(door()))


def _handshake(loop: asyncio.AbstractEventLoop) -> Try:
    node = _door(loop)
    claim = request("POST", "/claim?user=u&id=claim-of-a-fuzzer", authorization=f"Bearer {TOKEN}")

    async def tried(data: bytes) -> None:
        await node.ask([claim])
        for response in await node.ask(_pieces(data)):
            assert response.status < 500, response
            assert response.status in (101, 200) or response.code, response

    return lambda data: loop.run_until_complete(tried(data))


PATHS = ("/claim", "/send", "/disconnect", "/info", "/connect", "/channel/subscribe/")


def _query(loop: asyncio.AbstractEventLoop) -> Try:
    node = _door(loop)
    authorization = f"\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode()

    async def tried(data: bytes) -> None:
        # The first byte says which call.
        path = PATHS[(data[0] if data else 0) % len(PATHS)]
        method = "GET" if path in ("/info", "/connect") else "POST"
        head = f"{method} {path}".encode() + (b"" if path.endswith("/") else b"?")
        asked = head + data[1:] + b" HTTP/1.1\r\nhost: dsock.test" + authorization
        for response in await node.ask([asked]):
            assert response.status < 500, response

    return lambda data: loop.run_until_complete(tried(data))


_SAID = [
    Letter(Send(ToUser("u", "s"), MessageType.TEXT, b"hi"), "r", 5, "p"),
    Letter(Subscribe(ToChannel("c"), "d"), "r", 6),
]
_LETTERS = [encode(one) for one in _SAID]

TARGETS: dict[str, Target] = {
    "frames": Target(
        [
            bytes([bits, size]) + stream
            for bits in range(len(BITS))
            for size in (0, 1, 5)
            for stream in (
                frame(TEXT, b"hi", fin=False) + frame(PING, b"?") + frame(0, b"ho"),
                frame(BINARY, b"\x4a\x04\x00", rsv=4) + frame(PONG),
                frame(TEXT, b"x" * 200) + frame(CLOSE, b"\x03\xe8bye"),
            )
        ],
        _frames,
    ),
    "handshake": Target(
        [
            bytes([size]) + asked
            for size in (0, 40)
            for asked in (
                handshake("/connect?claim=claim-of-a-fuzzer"),
                handshake(
                    "/connect",
                    sec_websocket_protocol="dsock, dsock.claim.claim-of-a-fuzzer",
                    sec_websocket_extensions="permessage-deflate; client_max_window_bits=9",
                ),
                request("POST", "/send?user=u&type=text", b"hi", authorization=f"Bearer {TOKEN}"),
            )
        ],
        _handshake,
    ),
    "query": Target(
        [
            bytes([place]) + said
            for place in range(len(PATHS))
            for said in (b"user=u&session=s&channels=a,b&duration=9", b"id=%C3%BC&channel=c+d")
        ],
        _query,
    ),
    "mail": Target(
        [
            *_LETTERS,
            encode_letters("w", [(_LETTERS[0], False), (_LETTERS[1], True)]),
            encode_answers(Answers("w", [(1, Outcome(2, 3))], [4])),
            encode_probe("p"),
        ],
        _mail,
    ),
}


def search(name: str) -> Try:
    """What tries one input of this target."""
    return TARGETS[name].made(uvloop.new_event_loop())
