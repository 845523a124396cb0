"""The documented messages as bytes, by their field numbers alone: our codec has no part in it."""

from __future__ import annotations

SELECTORS = ("id", "user", "session", "channel")
"""The fields of a target, from 1 on."""

DISCONNECT, TEXT, BINARY = 0, 1, 2
SUBSCRIBE, UNSUBSCRIBE = 0, 1


def message(type: int, body: bytes, target: dict[str, str]) -> bytes:
    """A `Message`, for a worker's channel."""
    return number(1, type) + data(2, body) + nested(3, target_of(target))


def channel_action(channel: str, type: int, target: dict[str, str]) -> bytes:
    """A `ChannelAction`, for a worker's second channel."""
    return data(1, channel.encode()) + nested(2, target_of(target)) + number(3, type)


def target_of(target: dict[str, str]) -> bytes:
    """A `Target` with every selector that was given, as a Go API writes it."""
    given = (target.get(name, "").encode() for name in SELECTORS)
    return b"".join(data(field, value) for field, value in enumerate(given, 1))


def number(field: int, value: int) -> bytes:
    """A number; proto3 leaves a zero out."""
    return varint(field << 3) + varint(value) if value else b""


def data(field: int, value: bytes) -> bytes:
    """Text or bytes; proto3 leaves nothing out of nothing."""
    return nested(field, value) if value else b""


def nested(field: int, value: bytes) -> bytes:
    """A message in a message: written even when it is empty."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*written, value))


def read(payload: bytes) -> dict[int, int | bytes]:
    """The fields of a message by number; of these kinds, each once."""
    fields: dict[int, int | bytes] = {}
    at = 0
    while at < len(payload):
        tag, at = _read_varint(payload, at)
        value, at = _read_varint(payload, at)
        if tag & 7 == 2:
            fields[tag >> 3] = payload[at : at + value]
            at += value
        else:
            assert tag & 7 == 0, tag
            fields[tag >> 3] = value
    return fields


def _read_varint(payload: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = payload[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
