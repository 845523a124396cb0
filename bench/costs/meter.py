"""Reading what was spent: by Redis as it counts itself, and as CPU time of each process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from bench.costs.model import Cost
from bench.machine import cpu_seconds

PAUSE, LONGEST = 0.5, 10.0
"""Seconds between two readings of memory, and until it is taken as it is."""

AT_REST = 1024
"""Bytes by which two readings may differ when nothing happens."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Of whom the CPU is counted, by id."""

    redis: int
    apis: Sequence[int]
    workers: Sequence[int]


class Meter:
    """Says what was spent between two readings. What the readings themselves cost is taken
    off."""

    def __init__(self, client: redis.Redis, processes: Processes) -> None:
        self._client = client
        self._processes = processes
        self._anyway = Cost()
        first = self._read()
        self._own = self._read() - first

    def rest(self, seconds: float) -> Cost:
        """What a second costs in which nothing happens. From now on it is taken off."""
        self._anyway = Cost()
        self._anyway = self.spent(lambda: time.sleep(seconds)) * (1 / seconds)
        return self._anyway

    def spent(self, action: Callable[[], object], linger: float = 0.0) -> Cost:
        """What an action costs, with what follows from it within `linger` seconds, beyond what
        is spent anyway."""
        before, start = self._read(), time.monotonic()
        action()
        time.sleep(linger)
        cost = self._read() - before - self._own
        return cost - self._anyway * (time.monotonic() - start)

    def memory(self) -> int:
        """Bytes that Redis uses, once it has taken back what new clients were given at first."""
        before, now, end = 0, self._used_memory(), time.monotonic() + LONGEST
        while abs(now - before) > AT_REST and time.monotonic() < end:
            time.sleep(PAUSE)
            before, now = now, self._used_memory()
        return now

    def _used_memory(self) -> int:
        return int(self._client.info("memory")["used_memory"])

    def _read(self) -> Cost:
        stats = self._client.info("stats")
        return Cost(
            stats["total_commands_processed"],
            stats["total_net_input_bytes"],
            stats["total_net_output_bytes"],
            cpu_seconds([self._processes.redis]) * 1e6,
            cpu_seconds(self._processes.apis) * 1e6,
            cpu_seconds(self._processes.workers) * 1e6,
        )


@contextmanager
def metering(port: int, processes: Processes) -> Iterator[Meter]:
    """A meter of the Redis at this port."""
    with redis.Redis(port=port) as client:
        yield Meter(client, processes)
