"""Idle clients: they answer pings, and do nothing else."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence

PING = b"\x89\x00"
PONG = b"\x8a\x80\x00\x00\x00\x00"
"""With an empty body; a client masks what it sends (RFC 6455, section 5.3)."""


class IdleClients:
    """Watches open connections. `pings` is how many each has been sent so far, by file."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self.pings: dict[int, int] = {}
        self._sockets = {sock.fileno(): sock for sock in sockets}
        self._poll = select.epoll()
        for file, sock in self._sockets.items():
            sock.setblocking(False)
            self.pings[file] = 0
            self._poll.register(file, select.EPOLLIN)

    def answer_until(self, enough: Callable[[], bool], within: float) -> None:
        """Answer pings until it is enough. Raises `TimeoutError`, `ConnectionError`."""
        end = time.monotonic() + within
        while not enough():
            if time.monotonic() > end:
                raise TimeoutError("pings did not come")
            self._answer(0.05)

    def answer_for(self, seconds: float) -> int:
        """Answer pings for so long; returns how many came."""
        before = sum(self.pings.values())
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._answer(left)
        return sum(self.pings.values()) - before

    def _answer(self, within: float) -> None:
        for file, _ in self._poll.poll(within):
            sock = self._sockets[file]
            data = sock.recv(4096)
            if not data:
                raise ConnectionError("an idle client was closed")
            count = data.count(PING)
            if count:
                self.pings[file] += count
                sock.send(PONG)
