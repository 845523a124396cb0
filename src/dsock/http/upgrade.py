"""A WebSocket handshake that waits for its verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qsl

from dsock.http.answers import Answer

EARLY_LIMIT = 64 * 1024
"""Bytes that may wait while the verdict is out; no honest client sends any."""

LINGER = 5.0
"""Seconds for which one that was refused may take its answer, where it does not at once."""


class Upgrade(asyncio.Protocol):
    """A parsed request with its transport. Exactly one of `hand_over` and `refuse` ends it;
    until then it keeps what comes early and notices when the client leaves."""

    def __init__(
        self,
        transport: asyncio.Transport,
        query: bytes,
        headers: list[tuple[bytes, bytes]],
        client: str,
    ) -> None:
        self.transport = transport
        self.client = client
        """The address that it has come from, before all proxies that are believed."""
        self.query = parse_query(query)
        self.on_lost: Callable[[], None] | None = None
        """Called when the client leaves before the verdict."""
        self._headers = headers
        self._early = bytearray()

    def header(self, name: bytes) -> list[str]:
        """All values of a header, in order; `name` in lower case."""
        return [value.decode("latin-1").strip() for key, value in self._headers if key == name]

    def tokens(self, name: bytes) -> list[str]:
        """The members of a header that is a comma-separated list (RFC 9110, section 5.6.1)."""
        return [
            token.strip()
            for value in self.header(name)
            for token in value.split(",")
            if token.strip()
        ]

    def hand_over(self, protocol: asyncio.Protocol) -> bytes:
        """Let `protocol` have the transport; returns what came early."""
        self.transport.set_protocol(protocol)
        return bytes(self._early)

    def refuse(self, answer: Answer) -> None:
        """Answer with a plain response and close."""
        if not self.transport.is_closing():
            self.transport.write(answer.as_http(close=True))
            self.transport.close()
            if self.transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(LINGER, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > EARLY_LIMIT:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.on_lost:
            self.on_lost()


def parse_query(query: bytes) -> list[tuple[str, str]]:
    """Names and values of a query string, in order. Bytes that are no UTF-8 become lone
    surrogates, so that no two different queries read the same; `dsock.names` refuses them."""
    text = query.decode("utf-8", "surrogateescape")
    if "%" not in text and "+" not in text:
        # Nothing to decode, as in most calls.
        fields = (field.partition("=") for field in text.split("&") if field)
        return [(name, value) for name, _, value in fields]
    return parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
