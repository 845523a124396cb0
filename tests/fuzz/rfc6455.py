"""What a server may make of the bytes of a client: RFC 6455 and RFC 7692 once more, read by
somebody who has all the bytes at once.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009

_TAIL = b"\x00\x00\xff\xff"
"""Behind a compressed message (RFC 7692, section 7.2.2)."""


@dataclass
class Expected:
    """`messages` come out, `pongs` are sent, `heard` counts pings and pongs of the client.

    `close` is the body of the close frame that is sent back, or only its code; None when the
    client has done nothing that ends it. `not_text` says that a message was no UTF-8: what came
    in the same segment behind it may end the connection as well.
    """

    messages: list[str | bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    heard: int = 0
    close: bytes | int | None = None
    not_text: bool = False


class _Ends(Exception):
    def __init__(self, close: bytes | int) -> None:
        super().__init__()
        self.close = close


class Server:
    """Reads a client; `limit` is in bytes, `inflate_bits` 0 without permessage-deflate."""

    def __init__(self, limit: int, inflate_bits: int) -> None:
        self.expected = Expected()
        self._limit = limit
        self._bits = inflate_bits
        self._message: bytearray | None = None
        self._text = False
        self._inflater: zlib._Decompress | None = None

    def read(self, stream: bytes) -> Expected:
        """What all these bytes come to."""
        rest: bytes | None = stream
        try:
            while rest is not None:
                rest = self._frame(rest)
        except _Ends as end:
            self.expected.close = end.close
        return self.expected

    def _frame(self, data: bytes) -> bytes | None:
        # The rest behind the first frame; None when that is not all there.
        if len(data) < 2:
            return None
        first, second, data = data[0], data[1], data[2:]
        opcode, size = first & 0x0F, second & 0x7F
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG) or not second & 0x80:
            raise _Ends(PROTOCOL_ERROR)
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(data) < width:
                return None
            size, data = int.from_bytes(data[:width], "big"), data[width:]
        # What is in the hands already counts, also for a control frame in between.
        if size > self._room():
            raise _Ends(TOO_BIG)
        if len(data) < 4 + size:
            return None
        mask, body, rest = data[:4], data[4 : 4 + size], data[4 + size :]
        plain = bytes(byte ^ mask[place % 4] for place, byte in enumerate(body))
        self._whole(bool(first & 0x80), first & 0x70, opcode, plain)
        return rest

    def _whole(self, fin: bool, reserved: int, opcode: int, body: bytes) -> None:
        if opcode < CLOSE:
            if self._bits:
                reserved, body = self._inflated(fin, reserved, opcode, body)
            if reserved:
                raise _Ends(PROTOCOL_ERROR)
            self._data(fin, opcode, body)
        elif reserved or not fin or len(body) > 125:
            raise _Ends(PROTOCOL_ERROR)
        elif opcode == CLOSE:
            self._close(body)
        else:
            self.expected.heard += not self.expected.not_text
            if opcode == PING:
                self.expected.pongs.append(body)

    def _data(self, fin: bool, opcode: int, body: bytes) -> None:
        if (opcode == CONTINUATION) != (self._message is not None):
            raise _Ends(PROTOCOL_ERROR)
        if self._message is None:
            self._message, self._text = bytearray(), opcode == TEXT
        self._message += body
        if not fin:
            return
        whole, self._message = bytes(self._message), None
        if self.expected.not_text:
            return
        try:
            self.expected.messages.append(whole.decode() if self._text else whole)
        except UnicodeDecodeError:
            self.expected.not_text = True

    def _close(self, body: bytes) -> None:
        code = int.from_bytes(body[:2], "big")
        if body:
            _require_utf8(body[2:])
            known = 1000 <= code <= 1014 and code not in (1004, 1005, 1006)
            if len(body) == 1 or not (known or 3000 <= code < 5000):
                raise _Ends(PROTOCOL_ERROR)
        # In the middle of a message it is taken for an error: `tests/conformance/known.py`.
        raise _Ends(body if self._message is None else PROTOCOL_ERROR)

    def _room(self) -> int:
        return self._limit - len(self._message or b"")

    def _inflated(self, fin: bool, reserved: int, opcode: int, body: bytes) -> tuple[int, bytes]:
        compressed = bool(reserved & 0x40)
        if opcode != CONTINUATION:
            if not compressed:
                return reserved, body
            self._inflater, reserved = zlib.decompressobj(-self._bits), reserved & 0x30
        elif self._inflater is None:
            return reserved, body
        elif compressed:
            raise _Ends(PROTOCOL_ERROR)
        inflater = self._inflater
        assert inflater
        if fin:
            body, self._inflater = body + _TAIL, None
        room = self._room()
        try:
            # What zlib holds back of a full message, it gives out for the next fragment.
            plain = inflater.decompress(body, room or 1)
        except zlib.error:
            raise _Ends(PROTOCOL_ERROR) from None
        if inflater.unconsumed_tail or len(plain) > room:
            raise _Ends(TOO_BIG)
        return reserved, plain


def _require_utf8(text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError:
        raise _Ends(INVALID_DATA) from None
