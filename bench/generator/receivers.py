"""Clients that only read.

For throughput they need not read each message as it comes: `sweep` reads what has gathered, so
that one call takes several messages and the generator is not the limit. Prompt ones are woken for
what comes, as clients on machines of their own are: on one machine the sender pays for it too.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.processes import PATIENCE

_SLICE = 64
"""Sockets that are read between two looks at the answers to calls."""

_PACE = 20e-6
"""Seconds for each socket from one sweep to the next. Reading takes less than a tenth of that."""

_SHORTEST = 0.002
"""From one sweep to the next, in seconds."""


class Receivers:
    """The clients' ends of connections. `received` is how many bytes have come."""

    def __init__(self, sockets: Sequence[socket.socket], prompt: bool = False) -> None:
        self.received = 0
        self._sockets = sockets
        self._buffer = bytearray(256 * 1024)
        self._next = len(sockets)
        self._due = 0.0
        self._woken = select.epoll() if prompt else None
        self._by_file = {sock.fileno(): sock for sock in sockets}
        for sock in sockets:
            sock.setblocking(False)
            if self._woken:
                self._woken.register(sock, select.EPOLLIN)

    @contextmanager
    def waking(self, poll: select.epoll) -> Iterator[None]:
        """Inside this context `poll` returns when prompt receivers have something to read."""
        if not self._woken:
            yield
            return
        poll.register(self._woken.fileno(), select.EPOLLIN)
        try:
            yield
        finally:
            poll.unregister(self._woken.fileno())

    def sweep(self) -> float:
        """Read some sockets if it is time to; returns the seconds until it is time again."""
        if self._woken:
            ready = self._woken.poll(0, _SLICE)
            self._read([self._by_file[file] for file, _ in ready])
            return 0.0 if ready else PATIENCE
        now = time.perf_counter()
        if self._next >= len(self._sockets):
            if now < self._due:
                return self._due - now
            self._next = 0
            self._due = now + max(_SHORTEST, _PACE * len(self._sockets))
        self._read(self._sockets[self._next : self._next + _SLICE])
        self._next += _SLICE
        return 0.0

    def empty(self) -> None:
        """Forget what is there from before, and count anew."""
        self._read(self._sockets)
        self.received = 0

    def wait_for(self, size: int) -> None:
        """Read until so many bytes have come in all. Raises `TimeoutError`."""
        end = time.monotonic() + PATIENCE
        while self.received < size:
            before = self.received
            self._read(self._sockets)
            if self.received == before:
                if time.monotonic() > end:
                    raise TimeoutError(f"{size - self.received} bytes did not come")
                time.sleep(0.001)

    def _read(self, sockets: Sequence[socket.socket]) -> None:
        buffer, received = self._buffer, 0
        for sock in sockets:
            try:
                size = sock.recv_into(buffer)
            except BlockingIOError:
                continue
            if size == 0:
                raise ConnectionError("a client was closed")
            received += size
        self.received += received
