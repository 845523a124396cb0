"""Reading a request: parameters, flags, the token, the body."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect, Request

from dsock.errors import (
    ErrorReadingMessage,
    InvalidAuthorization,
    MessageTooLarge,
)
from dsock.http.upgrade import parse_query


class Parameters:
    """The query parameters of a call. Of a repeated one the first counts; an empty one
    counts as absent."""

    def __init__(self, request: Request) -> None:
        self._values: dict[str, str] = {}
        for name, value in parse_query(request.scope["query_string"]):
            self._values.setdefault(name, value)

    def __call__(self, name: str) -> str | None:
        return self._values.get(name) or None

    def flag(self, name: str) -> bool:
        """Whether a flag is set: only `true` is."""
        return self._values.get(name) == "true"


def require_token(request: Request, tokens: Sequence[str]) -> None:
    """Let the request pass if it shows one of the tokens, in the query or as a Bearer
    (RFC 6750, section 2.1). Raises `InvalidAuthorization`.
    """
    shown = [(Parameters(request)("token") or "").encode("utf-8", "surrogateescape")]
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        # Headers come as Latin-1, whatever they are.
        shown.append(value.strip(" \t").encode("latin-1"))
    # Every pair is compared, so that the time does not tell which one was near.
    matches = [hmac.compare_digest(one, token.encode()) for one in shown if one for token in tokens]
    if not any(matches):
        raise InvalidAuthorization


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises `MessageTooLarge` as soon as it is over `limit` bytes, or
    `ErrorReadingMessage` when the caller leaves in the middle."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise MessageTooLarge
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise MessageTooLarge
            parts.append(part)
    except ClientDisconnect:
        raise ErrorReadingMessage from None
    return b"".join(parts)


def path_tail(request: Request, prefix: str) -> str:
    """What stands in the path after `prefix`, percent-decoded. Bytes that are no UTF-8
    become lone surrogates, which no name may have."""
    raw: bytes = request.scope["raw_path"]
    tail = raw.partition(prefix.encode())[2]
    return unquote_to_bytes(tail).decode("utf-8", "surrogateescape")
