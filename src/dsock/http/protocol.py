"""uvicorn's HTTP protocol with limits, and with a way out for WebSockets.

What uvicorn leaves to us: limits on headers and slow requests; an `Upgrade` that is not a
WebSocket's must not swallow the body; a WebSocket's goes to `Rules.on_upgrade` with its
transport, before any answer. Knows no word of the broker's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dsock.errors import (
    BadRequest,
    DsockError,
    HeadersTooLarge,
    InvalidHandshake,
    MethodNotAllowed,
    RequestTimeout,
)
from dsock.http.answers import failure, request_id
from dsock.http.incoming import Incoming
from dsock.http.joined import JoinedWrites
from dsock.http.rules import Rules
from dsock.http.taken import Taking
from dsock.http.upgrade import Upgrade
from dsock.proxies import unmapped

LINGER = 1.0
"""Seconds for which a refused client may go on sending, so that it can read the answer."""

PIECE = 4096
"""Bytes that are read at once: of the shortest requests some 120."""


class _Refused(Exception):
    """Stops the parser from inside one of its callbacks."""


class _Flow(FlowControl):
    """uvicorn's switch for reading, which lets what has come in already go first."""

    def __init__(self, transport: asyncio.Transport, read_on: Callable[[], None]) -> None:
        super().__init__(transport)
        self._read_on = read_on

    def resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self._read_on()


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection.

    `_in_head`: the next bytes belong to a request line or headers. `_parts` counts heads,
    pieces of bodies and ends of bodies; `_partless` the bytes since the last of them: of a
    head, or of trailers, that does not end. `_body_left`: how much of a body of known length
    is to come. `_deadline`: when patience ends. `_aside`: what has come in and waits for its
    turn; meanwhile nothing is taken from the transport.
    """

    def __init__(self, *args: Any, rules: Rules, incoming: Incoming, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rules = rules
        self._incoming = incoming
        self._aside: bytes | None = None
        self._queued = False
        self._in_head = True
        self._parts = 0
        self._partless = 0
        self._trailers = 0
        self._body_left = 0
        self._unread = 0
        self._refusal: DsockError = BadRequest()
        self._refused = False
        self._deadline: float | None = None

    # --- the transport -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client and self.client[0].startswith("::ffff:"):
            self.client = unmapped(self.client[0]), self.client[1]
        self.transport = self._joined = JoinedWrites(transport, self.loop)
        self.flow = _Flow(transport, self._read_on)
        now = self.loop.time()
        self._deadline = now + self._rules.header_timeout
        self._taking = Taking(transport, now)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        if self._in_head and self._deadline is None:
            self._deadline = self.loop.time() + self._rules.header_timeout
        if len(data) <= max(PIECE, self._body_left) and self._aside is None:
            self._read(data)
            return
        if self._aside is None:
            self._aside = data
            if self.read_piece():
                self._incoming.add(self)
        else:
            self._aside += data
        if self._aside is not None and not self.transport.is_closing():
            self._joined.raw.pause_reading()

    def read_piece(self) -> bool:
        """Read the next of what was put aside; says whether there is more, and it is wanted."""
        # However long the rest of a body is, it is one call of the parser's.
        self._read_aside(max(PIECE, self._body_left))
        self._read_aside(self._body_left)
        self._queued = bool(self._aside) and self._reads
        if self._aside is None:
            self._read_on()
        return self._queued

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._read_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._aside = None
        super().connection_lost(exc)

    def eof_received(self) -> None:
        # The transport closes behind this, and what is answered is to leave before.
        self._joined.flush()

    def check_deadline(self, now: float) -> None:
        """Called now and then for every connection: end one that keeps us waiting."""
        if self._taking.stalled(now) > self._rules.answer_timeout:
            # Whatever is under way: it cannot be told.
            self._deadline = None
            self._count(RequestTimeout())
            self.transport.abort()
        elif self._deadline is None or now < self._deadline or self._refused:
            return
        elif self._in_head:
            self._refuse(RequestTimeout())
        elif self.cycle.response_complete:
            self.transport.close()
        elif self._full or self._aside is not None:
            # It is we who do not read.
            self._deadline = now + self._rules.body_timeout
        else:
            self._refuse(RequestTimeout())

    @property
    def _full(self) -> bool:
        # uvicorn would read on after the first of many answers, and pile up requests.
        return self.flow.read_paused or bool(self.pipeline)

    @property
    def _reads(self) -> bool:
        # Behind a request that was the last none is carried out (RFC 9112, section 9.6).
        return not self._full and not self.transport.is_closing()

    def _read_on(self) -> None:
        if not self._reads:
            return
        if self._aside is None:
            self._joined.raw.resume_reading()
        elif not self._queued:
            self._queued = True
            self._incoming.add(self)

    def _read_aside(self, size: int) -> None:
        if self._aside and size and self._reads:
            piece, self._aside = self._aside[:size], self._aside[size:]
            self._unset_keepalive_if_required()
            self._read(piece)
            self._aside = self._aside or None

    # --- the parser ----------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        left: bytes | None = data
        while left is not None:
            left = self._feed(left)

    def _feed(self, data: bytes) -> bytes | None:
        # Returns what has to be fed again, to a fresh parser.
        parts = self._parts
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._upgrade_asked(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._refusal)
            return None
        # What began in the middle of this segment is counted from the next on.
        self._partless = self._partless + len(data) if parts == self._parts else 0
        if self._partless > self._rules.max_header_size:
            self._refuse(HeadersTooLarge())
        return None

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)
            return
        # A trailer: whatever it says comes too late to count (RFC 9110, section 6.5.1).
        self._trailers += len(name) + len(value) + 4
        if self._trailers > self._rules.max_header_size:
            self._stop(HeadersTooLarge())

    def on_headers_complete(self) -> None:
        self._require_sound_head()
        self._parts += 1
        self._in_head = False
        self._trailers = self._unread = 0
        self._deadline = self.loop.time() + self._rules.body_timeout
        # What an upgrade becomes is decided where the parser stops for it.
        if not self.parser.should_upgrade():
            if self._rules.proxies:
                self.scope["client"] = self._client_of_request()
            super().on_headers_complete()

    def _client_of_request(self) -> tuple[str, int] | None:
        proxies, peer = self._rules.proxies, self.client
        if proxies is None or peer is None:
            return peer
        told = (v.decode("latin-1") for name, v in self.headers if name == b"x-forwarded-for")
        address = proxies.client_of(peer[0], told)
        # The port is known of the peer alone.
        return peer if address == peer[0] else (address, 0)

    def _require_sound_head(self) -> None:
        size, hosts, codings = len(self.url), 0, False
        for name, value in self.headers:
            size += len(name) + len(value) + 4
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding":
                codings = True
            elif name == b"content-length":
                self._body_left = int(value)  # The parser has seen that it is one.
        if size > self._rules.max_header_size or len(self.headers) > self._rules.max_headers:
            self._stop(HeadersTooLarge())
        if hosts != 1 and self.parser.get_http_version() == "1.1":
            self._stop(BadRequest("It needs one Host header."))  # RFC 9112, section 3.2
        if codings and any(one != b"chunked" for one in self._tokens(b"transfer-encoding")):
            self._stop(BadRequest("The only transfer coding is chunked."))

    def on_body(self, body: bytes) -> None:
        self._parts += 1
        self._body_left = max(0, self._body_left - len(body))
        if self.cycle.response_complete:
            # Nobody needs it any more: what is left of its time is all that it gets.
            self._unread += len(body)
            if self._unread > self._rules.max_unread:
                self.transport.close()
            return
        self._deadline = self.loop.time() + self._rules.body_timeout
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._parts += 1
        self._in_head = True
        self._body_left = 0
        self._deadline = None
        super().on_message_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            # It was answered before its end: the answer has not begun to count how long it rests.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    # --- upgrades ------------------------------------------------------------------------

    def _upgrade_asked(self, rest: bytes) -> bytes | None:
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(MethodNotAllowed())
            return None
        # Who has not taken what it asked for would begin with more waiting than a client may.
        self._joined.flush()
        unread = self._joined.raw.get_write_buffer_size() > 0
        busy = unread or (self.cycle is not None and not self.cycle.response_complete)
        try:
            url = httptools.parse_url(self.url)
        except httptools.HttpParserError:
            self._refuse(BadRequest())
            return None
        path = unquote((url.path or b"/").decode("latin-1"))
        on_upgrade = self._rules.on_upgrade
        if (
            busy
            or on_upgrade is None
            or path not in self._rules.upgrade_paths
            or not self._is_websocket(method)
        ):
            return self._without_upgrade(method) + rest
        if rest or self._aside:
            # Nobody may speak before the 101; what does may be another request in disguise.
            self._refuse(InvalidHandshake())
            return None
        self._hand_over(on_upgrade, url.query or b"")
        return None

    def _is_websocket(self, method: bytes) -> bool:
        names = {name for name, _ in self.headers}
        body = dict(self.headers).get(b"content-length", b"0") != b"0"
        return (
            method == b"GET"
            and self.parser.get_http_version() == "1.1"
            and b"websocket" in self._tokens(b"upgrade")
            and not body
            and b"transfer-encoding" not in names
        )

    def _tokens(self, name: bytes) -> list[bytes]:
        return [
            token.strip().lower()
            for key, value in self.headers
            if key == name
            for token in value.split(b",")
        ]

    def _without_upgrade(self, method: bytes) -> bytes:
        # The parser has stopped at the end of this head as if the rest were another
        # protocol's (RFC 9110, section 7.8, lets a server ignore `Upgrade`): a fresh one
        # reads the same request without it.
        version = self.parser.get_http_version().encode()
        head = [method, b" ", self.url, b" HTTP/", version, b"\r\n"]
        kept = [token for token in self._tokens(b"connection") if token != b"upgrade"]
        for name, value in self.headers:
            if name not in (b"upgrade", b"connection"):
                head += (name, b": ", value, b"\r\n")
        if kept:
            head += (b"connection: ", b", ".join(kept), b"\r\n")
        self.parser = httptools.HttpRequestParser(self)
        self._in_head = True
        return b"".join((*head, b"\r\n"))

    def _hand_over(self, on_upgrade: Callable[[Upgrade], None], query: bytes) -> None:
        self.connections.discard(self)
        self._deadline = None
        client = self._client_of_request() or ("", 0)
        self._joined.flush()
        upgrade = Upgrade(self._joined.raw, query, self.headers, client[0])
        self._joined.raw.set_protocol(upgrade)
        self.parser = None  # type: ignore[assignment]  # breaks a reference cycle
        on_upgrade(upgrade)

    # --- refusals ------------------------------------------------------------------------

    def _count(self, error: DsockError) -> None:
        if self._rules.on_refused:
            self._rules.on_refused(error)

    def _stop(self, error: DsockError) -> NoReturn:
        """From inside a callback of the parser: let `_feed` refuse with this error."""
        self._refusal = error
        raise _Refused

    def _refuse(self, error: DsockError) -> None:
        """Answer, or let what came whole before have its answers; and hang up."""
        self._refused = True
        self._deadline = self._aside = None
        self._count(error)
        in_progress = self.cycle is not None and not self.cycle.response_complete
        if in_progress and self._in_head:
            # It is closed behind the last of those answers.
            self.cycle.keep_alive = False
            return
        # A request whose own body does not come is this one; an earlier one is not.
        if in_progress and (self.cycle.response_started or self.pipeline):
            self.transport.close()
            return
        if in_progress:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        # Of a request that was answered before all of its body had come, this is the rest: a
        # second answer to it would be taken for that to the next (RFC 9112, section 9.3).
        if self.cycle is None or in_progress or self._in_head:
            given = dict(self.headers or ()).get(b"x-request-id", b"").decode("latin-1")
            self.transport.write(failure(error, request_id(given)).as_http(close=True))
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._joined.raw.resume_reading()
            self.loop.call_later(LINGER, self.transport.abort)
        else:
            self.transport.close()
