"""The product's connection between a client that may say anything and a transport of paper."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dsock.http.incoming import Incoming
from dsock.worker.connection import Connection
from tests.fuzz.rfc6455 import CLOSE, INVALID_DATA, PONG, Expected, Server

HEAD = b"101"
"""What stands for the head of the 101."""

FRAME_HEAD = 14
"""Bytes before the body of the longest frame."""


class Paper(asyncio.Transport):
    """A transport that keeps what is written, and reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed, "written behind the end"
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Witness:
    """Owns one connection, and counts what it is told."""

    send_buffer_limit = 2**20

    def __init__(self, limit: int) -> None:
        self.max_client_message_size = limit
        self.incoming = Incoming()
        self.messages: list[str | bytes] = []
        self.pings_and_pongs = self.times_left = self.times_gone = 0

    def left(self, connection: Connection) -> None:
        self.times_left += 1

    def gone(self, connection: Connection) -> None:
        self.times_gone += 1

    def heard(self, connection: Connection) -> None:
        self.pings_and_pongs += 1

    def received(self, connection: Connection, message: str | bytes) -> None:
        self.messages.append(message)


def require_as_expected(segments: Sequence[bytes], limit: int, inflate_bits: int) -> None:
    """Let a connection read these segments; fails when anything comes out but what the
    specification says, or when more is kept than it may. Needs a running loop."""
    expected = Server(limit, inflate_bits).read(b"".join(segments))
    owner, transport = Witness(limit), Paper()
    connection = Connection(owner, "id", "user", None, ())
    connection.opened(transport, HEAD, inflate_bits)
    for segment in segments:
        # Who is closed is read no more.
        if segment and not transport.closed:
            connection.data_received(segment)
            while connection.read_piece():
                pass
            assert held(connection) <= limit + FRAME_HEAD
    assert owner.messages == expected.messages
    assert owner.pings_and_pongs == expected.heard
    _require_answers(transport, expected)
    assert owner.times_left == (expected.close is not None or expected.not_text)
    connection.connection_lost(None)
    assert (owner.times_left, owner.times_gone) == (1, 1)


def held(connection: Connection) -> int:
    """Bytes of the client that a connection keeps."""
    reader, message = connection._reader, connection._message
    return len(reader.reader.buffer if reader else b"") + len(message or b"")


def _require_answers(transport: Paper, expected: Expected) -> None:
    written = bytes(transport.written)
    assert written.startswith(HEAD)
    pongs, close = _answers(written.removeprefix(HEAD))
    ends = expected.close
    if not expected.not_text:
        assert pongs == expected.pongs
        assert transport.closed == (ends is not None)
        assert close == ends if isinstance(ends, bytes) else _code(close) == ends
        return
    # Whether it has heard of the text when it reads what is behind it, segments decide.
    assert pongs == expected.pongs[: len(pongs)]
    assert _code(close) in (INVALID_DATA, ends) or close == ends


def _answers(written: bytes) -> tuple[list[bytes], bytes | None]:
    # The bodies of the pongs, and of the close frame. A client that was told goodbye and has
    # not said it may ask whether somebody is there (RFC 6455, section 5.5.2).
    pongs: list[bytes] = []
    close = None
    while written:
        first, size = written[0], written[1]
        assert size <= 125
        body, written = written[2 : 2 + size], written[2 + size :]
        if first == 0x80 | CLOSE:
            assert close is None, "two goodbyes"
            close = body
        else:
            assert first == 0x80 | PONG, "neither pong nor goodbye"
            pongs.append(body)
    return pongs, close


def _code(close: bytes | None) -> int | None:
    return None if close is None else int.from_bytes(close[:2], "big")
