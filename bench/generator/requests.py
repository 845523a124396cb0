"""Requests as bytes, made before the time is taken."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Sequence

import jwt

from bench.brokers import JWT_SECRET, TOKEN

KEY = b64encode(b"sixteen bytes...").decode()

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
"""What browsers offer."""


def post(path: str, body: bytes = b"") -> bytes:
    """A call of the API."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()


def upgrade(query: str, extra: str = "") -> bytes:
    """A handshake. `extra` is further header lines, each with its end."""
    return (
        f"GET /connect?{query} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{extra}"
        f"Sec-WebSocket-Key: {KEY}\r\n\r\n".encode()
    )


def upgrade_as(user: str, channels: Sequence[str] = (), extra: str = "") -> bytes:
    """A handshake with a JWT that is good for an hour."""
    payload = {"sub": user, "channels": list(channels), "exp": int(time.time()) + 3600}
    return upgrade(f"jwt={jwt.encode(payload, JWT_SECRET, 'HS256')}", extra)


def frame_size(body: int) -> int:
    """Bytes of a frame from the server with so many bytes in it (RFC 6455, section 5.2)."""
    return body + (2 if body < 126 else 4 if body < 65536 else 10)
