"""Reading a request: parameters, flags, headers, the body."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.types import Scope

from dsock.errors import (
    ErrorReadingMessage,
    MessageTooLarge,
    NotFound,
)
from dsock.http.upgrade import parse_query


class Parameters:
    """The query parameters of a call. Of a repeated one the first counts; an empty one
    counts as absent."""

    def __init__(self, request: Request) -> None:
        self._values: dict[str, str] = {}
        for name, value in parse_query(request.scope["query_string"]):
            self._values.setdefault(name, value)

    @classmethod
    def of(cls, request: Request) -> Parameters:
        """Those of this request, which are read once."""
        scope = request.scope
        parameters: Parameters | None = scope.get("dsock.parameters")
        if parameters is None:
            parameters = scope["dsock.parameters"] = cls(request)
        return parameters

    def __call__(self, name: str) -> str | None:
        return self._values.get(name) or None

    def flag(self, name: str) -> bool:
        """Whether a flag is set: only `true` is."""
        return self._values.get(name) == "true"


def header(scope: Scope, name: bytes) -> bytes:
    """The first value of a header, or nothing; `name` in lower case. Starlette would copy
    and decode all of them first."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return b""


def address_of(request: Request) -> str:
    """Where a request has come from, as far as that is known."""
    address: str = (request.scope.get("client") or ("",))[0]
    return address


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises `MessageTooLarge` as soon as it is over `limit` bytes, or
    `ErrorReadingMessage` when the caller leaves in the middle."""
    declared = header(request.scope, b"content-length")
    if declared.isdigit() and int(declared) > limit:
        raise MessageTooLarge
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ErrorReadingMessage
        part, more = message["body"], message["more_body"]
        size += len(part)
        if size > limit:
            raise MessageTooLarge
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def path_tail(request: Request, prefix: str) -> str:
    """What stands in the path after `prefix`, percent-decoded. Bytes that are no UTF-8
    become lone surrogates, which no name may have. Raises `NotFound` when slashes of the prefix
    are encoded: then it is another path (RFC 3986, section 2.2)."""
    raw: bytes = request.scope["raw_path"]
    *before, tail = raw.split(b"/", prefix.count("/"))
    if len(before) != prefix.count("/"):
        raise NotFound
    return unquote_to_bytes(tail).decode("utf-8", "surrogateescape")
