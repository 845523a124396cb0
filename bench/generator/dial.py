"""Opening connections: as fast as the server lets them in, some at a time."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.processes import PATIENCE

AT_A_TIME = 64
"""Handshakes under way together."""

_PATIENCE = struct.pack("ll", int(PATIENCE), 0)
_CUT = struct.pack("ii", 1, 0)


def dial(port: int, heads: Sequence[bytes]) -> list[socket.socket]:
    """Send each head on a connection of its own and wait for its 101. Raises `ConnectionError`
    if there is another answer."""
    opened: list[socket.socket] = []
    under_way: deque[socket.socket] = deque()
    for head in heads:
        under_way.append(_asked(port, head))
        if len(under_way) >= AT_A_TIME:
            opened.append(_let_in(under_way.popleft()))
    opened.extend(map(_let_in, under_way))
    return opened


def try_dial(port: int, heads: Sequence[bytes]) -> list[socket.socket | None]:
    """The same, all of them at a time; None for whom is not let in."""
    return [_let_in_perhaps(sock) for sock in [_asked(port, head) for head in heads]]


def plain(port: int, count: int) -> list[socket.socket]:
    """So many connections on which nothing is said."""
    return [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]


def hang_up(sockets: Sequence[socket.socket]) -> None:
    """Close them at once, so that none keeps a port."""
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CUT)
        sock.close()


@contextmanager
def open_until_left(sockets: list[socket.socket]) -> Iterator[list[socket.socket]]:
    """They are hung up at the end of this context."""
    try:
        yield sockets
    finally:
        hang_up(sockets)


def _let_in(sock: socket.socket) -> socket.socket:
    answer = sock.recv(4096)
    while not answer.endswith(b"\r\n\r\n"):
        more = sock.recv(4096)
        if not more:
            break
        answer += more
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(f"not let in: {answer[:200]!r}")
    return sock


def _let_in_perhaps(sock: socket.socket) -> socket.socket | None:
    try:
        return _let_in(sock)
    except OSError:
        sock.close()
        return None


def _asked(port: int, head: bytes) -> socket.socket:
    sock = socket.socket()
    # The kernel's own time-outs: Python's would cost a system call for each read.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
    sock.connect(("127.0.0.1", port))
    sock.send(head)
    return sock
