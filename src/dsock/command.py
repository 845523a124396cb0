"""What workers are told: the same four verbs as the API."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dsock.errors import InvalidMessageType
from dsock.target import Target


class MessageType(Enum):
    """The two WebSocket data frames, by opcode (RFC 6455, section 5.2)."""

    TEXT = 1
    BINARY = 2

    @classmethod
    def of(cls, text: str | None) -> MessageType:
        """The type that a caller names: `text` or `binary`, or the number of the frame.
        Raises `InvalidMessageType`."""
        match text:
            case "text" | "1":
                return cls.TEXT
            case "binary" | "2":
                return cls.BINARY
            case _:
                raise InvalidMessageType


@dataclass(frozen=True, slots=True)
class Send:
    """Put `body` into the outgoing buffer of every connection of the target."""

    target: Target
    type: MessageType
    body: bytes


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close every connection of the target."""

    target: Target


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Add every connection of the target to `channel`."""

    target: Target
    channel: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Take every connection of the target out of `channel`."""

    target: Target
    channel: str


Command = Send | Disconnect | Subscribe | Unsubscribe
