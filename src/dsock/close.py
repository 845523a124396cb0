"""Every reason for which dSock closes a connection.

Codes: RFC 6455, section 7.4, and the IANA registry of WebSocket close codes.
"""

from __future__ import annotations

from enum import Enum


class Goodbye(Enum):
    """A row is `(close code, what a person reads in the close frame)`."""

    DISCONNECTED = (1000, "disconnected by the application")
    PROTOCOL_ERROR = (1002, "not the WebSocket protocol")
    NOT_TEXT = (1007, "a text message must be UTF-8")
    NO_PONG = (1008, "a ping was not answered in time")
    TOO_BIG = (1009, "the message is too large")
    FAILED = (1011, "the server failed")
    SHUTTING_DOWN = (1012, "the server is shutting down: connect again")
    LEASE_LOST = (1012, "the server was away too long: connect again")
    TOO_SLOW = (1013, "messages were read too slowly: connect again later")
    CLIENT_LEFT = (1005, "")
    """The client said goodbye, or went without; nothing is sent."""

    @property
    def code(self) -> int:
        return self.value[0]

    @property
    def reason(self) -> str:
        return self.value[1]
