"""A message as its receivers share it: one frame for all, and one for those who inflate."""

from __future__ import annotations

import zlib
from struct import pack

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from dsock.command import MessageType

LEVEL = 1
"""Of zlib's nine: on JSON the others win little and cost several times as much."""

LARGEST = 2**19
"""Bytes above which a message goes as it is: to compress it would hold the loop too long."""


def encode_frame(type: MessageType, body: bytes) -> bytes:
    """A whole message in one frame that any number of clients can be sent: a server masks
    nothing (RFC 6455, sections 5.1 and 5.2)."""
    first, size = 0x80 | type.value, len(body)
    if size < 126:
        return bytes((first, size)) + body
    if size < 2**16:
        return pack("!BBH", first, 126, size) + body
    return pack("!BBQ", first, 127, size) + body


def _encode_deflated(type: MessageType, body: bytes) -> bytes:
    return Frame(Opcode(type.value), body).serialize(mask=False, extensions=[_deflate()])


class Frames:
    """The frames of one message. `compress_from` is the size in bytes from which it is
    compressed, None for never."""

    __slots__ = ("_deflated", "_message", "plain")

    def __init__(self, type: MessageType, body: bytes, compress_from: int | None) -> None:
        self.plain = encode_frame(type, body)
        """The message as it is."""
        small = compress_from is None or len(body) < compress_from
        self._message = None if small or len(body) > LARGEST else (type, body)
        self._deflated = self.plain

    def deflated(self) -> bytes:
        """The message compressed by itself (RFC 7692, section 7.2.1), so that it means the
        same to every client, whatever that was sent before; made once, when the first asks.
        The plain frame where compressing does not pay."""
        if self._message is not None:
            frame = _encode_deflated(*self._message)
            self._message = None
            if len(frame) < len(self.plain):
                self._deflated = frame
        return self._deflated


def _deflate() -> PerMessageDeflate:
    # It keeps nothing between messages, and the window is the largest.
    bits = zlib.MAX_WBITS
    return PerMessageDeflate(True, True, bits, bits, {"level": LEVEL})
