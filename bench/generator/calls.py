"""Calls of an API over connections that are kept: as many under way as there are connections."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext

from bench.generator.receivers import Receivers
from bench.processes import PATIENCE

_LENGTH = b"content-length: "


class Caller:
    """`in_flight` connections to one server, with one call on each at a time.

    Each answer has to be a 200 and to have `expected` in it; nothing else of it is read.
    """

    def __init__(self, port: int, in_flight: int, expected: bytes = b"") -> None:
        self._expected = expected
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(in_flight):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[sock.fileno()] = sock
            self._poll.register(sock, select.EPOLLIN)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()
        for sock in self._sockets.values():
            sock.close()

    def run(
        self, requests: Iterator[bytes], seconds: float, receivers: Receivers | None = None
    ) -> int:
        """Call for so long, or until there are no more requests, while the receivers read;
        returns how many calls were answered. Raises `ConnectionError`, `TimeoutError`."""
        with receivers.waking(self._poll) if receivers else nullcontext():
            return self._run(requests, time.perf_counter() + seconds, receivers)

    def _run(self, requests: Iterator[bytes], end: float, receivers: Receivers | None) -> int:
        answered = under_way = 0
        parts: dict[int, bytes] = {}
        for sock in self._sockets.values():
            under_way += self._ask(sock, requests)
        while under_way:
            ready = self._poll.poll(receivers.sweep() if receivers else PATIENCE)
            if not ready and not receivers:
                raise TimeoutError("a call was not answered")
            for file, _ in ready:
                if file not in self._sockets:
                    continue  # receivers have something to read
                sock = self._sockets[file]
                data = parts.pop(file, b"") + sock.recv(1 << 20)
                if not complete(data, self._expected):
                    parts[file] = data
                    continue
                answered += 1
                under_way -= 1
                if time.perf_counter() < end:
                    under_way += self._ask(sock, requests)
        return answered

    def _ask(self, sock: socket.socket, requests: Iterator[bytes]) -> bool:
        request = next(requests, None)
        if request is None:
            return False
        sock.sendall(request)
        return True


def complete(data: bytes, expected: bytes = b"") -> bool:
    """Whether an answer has come as a whole. Raises `ConnectionError` if it is not a 200 with
    `expected` in it."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if not data:
            raise ConnectionError("a call was cut off")
        return False
    start = data.index(_LENGTH) + len(_LENGTH)
    if len(data) < end + 4 + int(data[start : data.index(b"\r", start)]):
        return False
    if not data.startswith(b"HTTP/1.1 200") or expected not in data:
        raise ConnectionError(f"not as expected: {data[:500]!r}")
    return True
