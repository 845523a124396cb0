"""Every error code that the document says a call can answer, answered by a running node.

The table and the document are compared as sets: neither may have a row more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import jwt
import pytest
from starlette.types import Message

from dsock.api.openapi import document
from dsock.api.openapi.operations import OPERATIONS
from dsock.errors import Unavailable
from dsock.http.app import application
from dsock.node import Node
from tests.api import trouble
from tests.api.described import Answered, closed, codes, require_valid, responses
from tests.support.cluster import JWT_SECRET, TOKEN
from tests.support.redis_server import RedisServer
from tests.support.wire import dial, handshake, request

JWT = jwt.encode({"sub": "1", "exp": 2**32}, JWT_SECRET)
TARGETED = ["send", "disconnect", "subscribe", "unsubscribe", "info"]
CONFIRMED = ["disconnect", "subscribe", "unsubscribe"]
LEAVING_CLAIMS = "keepClaims=true&ignoreClaims=true"
AWAY = [
    ("id=1", "ERROR_GETTING_CONNECTION"),
    ("user=1", "ERROR_GETTING_USER"),
    ("channel=1", "ERROR_GETTING_CHANNEL"),
]

Up = AbstractAsyncContextManager[tuple[Node, str]]


class Row(NamedTuple):
    answered: Answered
    sent: bytes


def row(call: str, query: str, status: int, code: str, body: bytes = b"", /, **headers: str) -> Row:
    """What a call with this query is answered. A handshake if it is one to connect."""
    method, path = LINES[call]
    given = {"authorization": f"Bearer {TOKEN}"} if call in NEED_A_TOKEN else {}
    target = f"{path}?{query}"
    if call == "connect":
        return Row(Answered(call, status, code), handshake(target, **headers))
    return Row(Answered(call, status, code), request(method, target, body, **(given | headers)))


LINES = {one.id: (one.method, one.path.replace("{channel}", "news")) for one in OPERATIONS}
NEED_A_TOKEN = {one.id for one in OPERATIONS if "token" in one.security}


def mistakes() -> Iterator[Row]:
    """Of the caller, on a node where nothing is wrong."""
    for call in LINES:
        yield row(call, "", 400, "INVALID_REQUEST", host="")
        many = {f"x{number}": "y" for number in range(101)}
        yield row(call, "", 431, "HEADERS_TOO_LARGE", **many)
    for call in NEED_A_TOKEN:
        yield row(call, "token=wrong", 401, "INVALID_AUTHORIZATION", authorization="")
    for call in TARGETED:
        yield row(call, "", 400, "MISSING_TARGET")
        yield row(call, "id=%00", 400, "INVALID_CONNECTION_ID")
        yield row(call, "channel=%00", 400, "INVALID_CHANNEL")
        yield row(call, "user=%00", 400, "INVALID_USER")
        yield row(call, "user=1&session=%00", 400, "INVALID_SESSION")
    yield row("createClaim", "", 400, "USER_ID_REQUIRED")
    yield row("createClaim", "user=%00", 400, "INVALID_USER")
    yield row("createClaim", "user=1&session=%00", 400, "INVALID_SESSION")
    yield row("createClaim", "user=1&channels=%00", 400, "INVALID_CHANNEL")
    yield row("createClaim", "user=1&id=short", 400, "INVALID_CLAIM_ID")
    yield row("createClaim", "user=1&expiration=x", 400, "INVALID_EXPIRATION")
    yield row("createClaim", "user=1&expiration=0", 400, "NEGATIVE_EXPIRATION")
    yield row("createClaim", "user=1&duration=x", 400, "INVALID_DURATION")
    yield row("createClaim", "user=1&duration=0", 400, "NEGATIVE_DURATION")
    yield row("createClaim", "user=1&id=a-claim-twice", 400, "CLAIM_ID_ALREADY_USED")
    yield row("send", "user=1&type=x", 400, "INVALID_MESSAGE_TYPE")
    longer = b"x" * (trouble.LIMIT + 1)
    yield row("send", "user=1&type=text", 413, "MESSAGE_TOO_LARGE", longer)
    yield row("connect", f"jwt={JWT}", 400, "INVALID_HANDSHAKE", sec_websocket_version="8")
    yield row("connect", "jwt=a&jwt=b", 400, "REPEATED_CREDENTIALS")
    yield row("connect", "", 401, "MISSING_AUTHENTICATION")
    yield row("connect", "claim=unknown-claim", 401, "MISSING_CLAIM")
    yield row("connect", "jwt=x", 401, "INVALID_JWT")
    yield row("connect", f"jwt={JWT}", 403, "ORIGIN_REFUSED", origin="https://evil.test")
    yield row("connect", f"jwt={JWT}", 426, "UPGRADE_REQUIRED", upgrade="")


def without_backend() -> Iterator[Row]:
    """A backend out of reach."""
    yield row("createClaim", "user=1", 503, "ERROR_CHECKING_CLAIM")
    for call in TARGETED:
        for target, code in AWAY:
            yield row(call, f"{target}&type=text&{LEAVING_CLAIMS}", 503, code)
    for call in CONFIRMED:
        yield row(call, "user=1", 503, "ERROR_GETTING_CLAIM")
    yield row("connect", "claim=some-claim", 503, "ERROR_GETTING_CLAIM")
    yield row("connect", f"jwt={JWT}", 503, "ERROR_GETTING_CONNECTION")


def of_a_broken_node() -> Iterator[Row]:
    for call in ("createClaim", *TARGETED):
        yield row(call, "user=1&type=text", 500, "INTERNAL_ERROR")
    yield row("connect", "claim=some-claim", 500, "INTERNAL_ERROR")
    yield row("ready", "", 500, "INTERNAL_ERROR")
    yield row("metrics", "", 500, "INTERNAL_ERROR")


def of_a_node_that_cannot_encode() -> Iterator[Row]:
    for call in ("send", *CONFIRMED):
        yield row(call, "user=1&type=text", 500, "ERROR_MARSHALLING_MESSAGE")


def of_a_node_that_is(code: str) -> list[Row]:
    return [row("ready", "", 503, code), row("connect", f"jwt={JWT}", 503, code)]


def from_a_bad_neighbourhood() -> Iterator[Row]:
    """The right token, and a claim, from an address that has failed too often."""
    for call in NEED_A_TOKEN:
        yield row(call, "", 429, "TOO_MANY_FAILURES")
    yield row("connect", "claim=unknown-claim", 429, "TOO_MANY_FAILURES")


def for_want_of_room(status: int, code: str) -> list[Row]:
    return [row("connect", f"jwt={JWT}", status, code)]


def too_slow() -> Iterator[Row]:
    """Heads that do not end."""
    for call, (method, path) in LINES.items():
        head = f"{method} {path} HTTP/1.1\r\nhost: dsock.test\r\n".encode()
        yield Row(Answered(call, 408, "REQUEST_TIMEOUT"), head)


def on_redis() -> Iterator[Row]:
    """What only a Redis with other programs, and workers that die, can lead to."""
    for call in CONFIRMED:
        yield row(call, "user=ghost", 504, "WORKER_UNANSWERED")
    yield row("connect", "claim=ended-claim", 401, "EXPIRED_CLAIM")
    yield row("connect", "claim=odd-claim", 401, "INVALID_EXPIRATION")


READING = Answered("send", 400, "ERROR_READING_MESSAGE")
ON_MEMORY: dict[str, tuple[Callable[[], Up], list[Row]]] = {
    "healthy": (trouble.healthy, list(mistakes())),
    "without-backend": (
        lambda: trouble.on(trouble.Failing(Unavailable())),
        list(without_backend()),
    ),
    "broken": (trouble.broken, list(of_a_broken_node())),
    "speechless": (trouble.speechless, list(of_a_node_that_cannot_encode())),
    "deaf": (lambda: trouble.on(trouble.Deaf()), of_a_node_that_is("NOT_READY")),
    "draining": (trouble.draining, of_a_node_that_is("SHUTTING_DOWN")),
    "impatient": (trouble.impatient, list(too_slow())),
    "wary": (trouble.wary, list(from_a_bad_neighbourhood())),
    "full": (
        lambda: trouble.occupied(max_connections=1),
        for_want_of_room(503, "TOO_MANY_CONNECTIONS"),
    ),
    "full-for-a-user": (
        lambda: trouble.occupied(max_connections_per_user=1),
        for_want_of_room(429, "TOO_MANY_CONNECTIONS_OF_USER"),
    ),
    "run-over": (
        lambda: trouble.occupied(max_connects_per_second=1),
        for_want_of_room(503, "TOO_MANY_CONNECTS"),
    ),
}
ON_REDIS = list(on_redis())
DOCUMENT = closed(document())


@pytest.mark.parametrize("name", ON_MEMORY)
async def test_b83_a_call_answers_what_is_documented(name: str) -> None:
    up, rows = ON_MEMORY[name]
    async with up() as (_, address):
        if name == "healthy":
            made = row("createClaim", "user=1&id=a-claim-twice", 200, "")
            assert await answer(address, made) == made.answered
        await require(address, rows)


async def test_b83_a_call_answers_what_is_documented_on_redis(redis: RedisServer) -> None:
    async with trouble.on_redis(redis) as (_, address):
        await require(address, ON_REDIS)


async def test_b83_a_caller_that_leaves_in_the_middle_of_a_body_leaves_its_code_behind() -> None:
    # Nobody can read this answer over a socket, so it is taken before it gets there.
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async with trouble.healthy() as (node, _):
        app = application(node.routes(with_internal=True), lambda event: None)
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/send",
            "raw_path": b"/send",
            "query_string": b"user=1&type=text",
            "headers": [(b"authorization", f"Bearer {TOKEN}".encode())],
        }
        await app(scope, receive, send)
    content = json.loads(sent[1]["body"])
    assert Answered("send", sent[0]["status"], content["errorCode"]) == READING
    require_valid(DOCUMENT, "send", 400, content, {"x-request-id": content["requestId"]})


def test_b83_every_code_of_every_call_is_triggered_and_no_other() -> None:
    rows = [*ON_REDIS, *(row for _, rows in ON_MEMORY.values() for row in rows)]
    triggered = {row.answered for row in rows} | {READING}
    documented = {
        Answered(call, status, code)
        for call, status, response in responses(document())
        for code in codes(response)
    }
    assert triggered - documented == set()
    assert documented - triggered == set()


async def require(address: str, rows: list[Row]) -> None:
    """Every row is answered as it says."""
    answers = await asyncio.gather(*(answer(address, row) for row in rows))
    assert answers == [row.answered for row in rows]


async def answer(address: str, row: Row) -> Answered:
    """What a node answers, once it was found to be of the documented shape."""
    async with dial(address) as wire:
        await wire.send(row.sent)
        response = await wire.response()
    require_valid(DOCUMENT, row.answered.call, response.status, response.json, response.headers)
    return Answered(row.answered.call, response.status, response.json.get("errorCode", ""))
