"""Commands: the numbers that the wire and the WebSocket fix."""

from __future__ import annotations

from dsock.command import MessageType


def test_message_types_are_the_opcodes_of_websocket_frames() -> None:
    assert {type.name: type.value for type in MessageType} == {"TEXT": 1, "BINARY": 2}
