"""What is on its way out: the messages of one turn of the event loop leave in one write a
connection, however many they are."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from dsock.report import Outcome
from dsock.worker.connection import Connection
from dsock.worker.frames import Frames

JOIN_LIMIT = 64 * 1024
"""Bytes of messages that may wait for their writes at a time, unless one is larger: what a
connection's outbox may add to its `send_buffer_limit`."""

TURN_LIMIT = 4 * 2**20
"""Bytes that are written in one turn. A large write takes its time by the byte, and the clock
is read only now and then; what the system does not take at once, uvloop writes later, when
nobody reads a clock."""

CHUNK = 64
"""Connections between two looks at the clock."""


class Outgoing:
    """The connections with something in their outboxes, in the order in which they got it."""

    def __init__(self) -> None:
        self._connections: deque[Connection] = deque()
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._connections)

    @property
    def full(self) -> bool:
        """Whether all of it has to leave before more is put in."""
        return self._size >= JOIN_LIMIT

    def put(self, frames: Frames, connections: Sequence[Connection]) -> Outcome:
        """Put a message into the outboxes of these connections."""
        # The hot path: nothing here may cost more than it must, it runs for each receiver.
        taken = dropped = 0
        plain = frames.plain
        begun = self._connections.append
        for connection in connections:
            frame = frames.deflated() if connection.deflates else plain
            if connection.flowing:
                outbox = connection.outbox
                if not outbox:
                    begun(connection)
                outbox.append(frame)
                taken += 1
            else:
                dropped += connection.hold(frame)
        return Outcome(taken, dropped)

    def count(self, size: int) -> None:
        """A message of so many bytes is about to be put in."""
        self._size += size

    def flush(self, end: float) -> None:
        """Write what waits, until it is all out, the time is `end`, or `TURN_LIMIT` is written."""
        connections, left = self._connections, TURN_LIMIT
        while connections and left > 0:
            for _ in range(min(CHUNK, len(connections))):
                left -= connections.popleft().flush()
                if left <= 0:
                    break
            if time.perf_counter() >= end:
                break
        if not connections:
            self._size = 0
