"""One timer for all connections: pings, dead peers, and clients that take nothing."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from math import ceil

from dsock.close import Goodbye
from dsock.http.taken import bytes_taken
from dsock.worker.connection import Connection


class Pulse:
    """A wheel of slots, one tick each, that turns once in `ping_interval`: a connection is
    pinged when its slot comes by. New ones get a random slot, so that clients who came
    together are not pinged together. All times are in seconds."""

    def __init__(
        self,
        connections: Iterable[Connection],
        *,
        ping_interval: float,
        ping_timeout: float,
        send_timeout: float,
    ) -> None:
        self._connections = connections
        self._ping_timeout = ping_timeout
        self._send_timeout = send_timeout
        longest = min(1.0, ping_interval / 8, ping_timeout / 8, send_timeout / 8)
        slots = ceil(ping_interval / longest)
        self._tick = ping_interval / slots
        self._slots: list[set[Connection]] = [set() for _ in range(slots)]
        self._now = 0
        self._asked: deque[tuple[float, Connection]] = deque()
        self._stuck: dict[Connection, tuple[int, float]] = {}
        self._next_look = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self._timer = self._loop.call_later(self._tick, self._beat)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def add(self, connection: Connection) -> None:
        """Ping this connection from now on."""
        connection.ping_slot = random.randrange(len(self._slots))  # noqa: S311
        self._slots[connection.ping_slot].add(connection)

    def discard(self, connection: Connection) -> None:
        """Ping this connection no more."""
        if connection.ping_slot >= 0:
            self._slots[connection.ping_slot].discard(connection)
            self._stuck.pop(connection, None)

    def _beat(self) -> None:
        # Relative to now: after a pause no missed tick is made up for.
        self._timer = self._loop.call_later(self._tick, self._beat)
        now = self._loop.time()
        self._now = (self._now + 1) % len(self._slots)
        for connection in tuple(self._slots[self._now]):
            if connection.pinged_at is None:
                connection.ping(now)
                self._asked.append((now, connection))
        while self._asked and self._asked[0][0] <= now - self._ping_timeout:
            asked, connection = self._asked.popleft()
            if connection.pinged_at == asked:
                connection.close(Goodbye.NO_PONG)
        if now >= self._next_look:
            self._next_look = now + self._send_timeout / 4
            self._look_for_stuck(now)

    def _look_for_stuck(self, now: float) -> None:
        stuck: dict[Connection, tuple[int, float]] = {}
        for connection in self._connections:
            if connection.pending or connection.transport.get_write_buffer_size() == 0:
                continue
            taken = bytes_taken(connection.transport)
            before, since = self._stuck.get(connection, (-1, now))
            stuck[connection] = (taken, since if taken == before else now)
        self._stuck = stuck
        for connection, (_, since) in tuple(stuck.items()):
            if now - since >= self._send_timeout:
                connection.close(Goodbye.TOO_SLOW)
