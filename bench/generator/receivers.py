"""Clients that only read.

For throughput they need not read each message as it comes: `sweep` reads what has gathered, so
that one call takes several messages and the generator is not the limit.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from bench.processes import PATIENCE

_SLICE = 64
"""Sockets that are read between two looks at the answers to calls."""

_PACE = 20e-6
"""Seconds for each socket from one sweep to the next. Reading takes less than a tenth of that."""

_SHORTEST = 0.002
"""From one sweep to the next, in seconds."""


class Receivers:
    """The clients' ends of connections. `received` is how many bytes have come."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self.received = 0
        self._sockets = sockets
        self._buffer = bytearray(256 * 1024)
        self._next = len(sockets)
        self._due = 0.0
        for sock in sockets:
            sock.setblocking(False)

    def sweep(self) -> float:
        """Read some sockets if it is time to; returns the seconds until it is time again."""
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
