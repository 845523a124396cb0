"""The shape of every answer: JSON with `success`, and the request's id in a header."""

from __future__ import annotations

import random
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from dsock.errors import DsockError


class Answer(NamedTuple):
    """A whole HTTP response, ready for ASGI or for a raw socket."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def as_http(self, close: bool) -> bytes:
        """The response as bytes (RFC 9112); with `close`, the last of its connection."""
        phrase = HTTPStatus(self.status).phrase
        head = [f"HTTP/1.1 {self.status} {phrase}\r\n".encode()]
        head += [name + b": " + value + b"\r\n" for name, value in self.headers]
        if close:
            head.append(b"connection: close\r\n")
        return b"".join((*head, b"\r\n", self.body))


def request_id(given: str | None) -> str:
    """The request's own id if it is 1 to 128 visible ASCII characters, else a new one."""
    if given and len(given) <= 128 and all("!" <= character <= "~" for character in given):
        return given
    # Nothing is guarded by it: it need not be hard to guess, and the system is not asked.
    return f"{random.getrandbits(64):016x}"


def answer(
    status: int, content: Mapping[str, Any], id: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """A JSON response."""
    body = orjson.dumps(content)
    lines = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", id.encode()),
    ]
    if headers:
        lines += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Answer(status, lines, body)


def success(id: str, **content: Any) -> Answer:
    """The answer to a call that did what it was asked."""
    return answer(200, {"success": True, **content}, id)


def failure(error: DsockError, id: str) -> Answer:
    """The answer to a call that did not: the one place where an error becomes JSON."""
    content: dict[str, Any] = {
        "success": False,
        "error": error.message,
        "errorCode": error.code,
        "requestId": id,
    }
    if error.report is not None:
        content["report"] = error.report._asdict()
    return answer(error.status, content, id, error.headers)
