"""How much of what comes in is read at a time: who floods us delays nobody.

libuv hands over up to 256 KiB at a time, and reads up to 32 times before anybody else has a
turn. So what is longer than a piece is put aside, and read on side by side with the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextvars import Context
from typing import Protocol

SLICE = 0.001
"""Seconds for which what waits may hold the loop at a time."""


class Reader(Protocol):
    """Who has received more than is read at once."""

    def read_piece(self) -> bool:
        """Read one; says whether another waits that may be read."""


class Incoming:
    """Lets everybody with something put aside read on, in turn, a piece each. What one turn
    of the loop has no time for waits for the next."""

    def __init__(self) -> None:
        self._readers: deque[Reader] = deque()
        self._due = False
        self._loop = asyncio.get_running_loop()
        # Nobody's: the id of the request that happens to begin a turn is not that of others.
        self._context = Context()

    def add(self, reader: Reader) -> None:
        """Let this one read on from the next turn; it is none of those who wait."""
        self._readers.append(reader)
        self._come_back()

    def _come_back(self) -> None:
        if self._readers and not self._due:
            self._due = True
            self._loop.call_soon(self._next, context=self._context)

    def _next(self) -> None:
        self._due = False
        end = time.perf_counter() + SLICE
        try:
            while self._readers and time.perf_counter() < end:
                reader = self._readers.popleft()
                if reader.read_piece():
                    self._readers.append(reader)
        finally:
            # A fault of ours in one must not stop those behind it.
            self._come_back()
