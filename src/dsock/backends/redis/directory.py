"""Which `messaging_method` each worker is set to, and where it takes direct messages."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from dsock.backends.redis.calls import Calls
from dsock.backends.redis.keys import Keys
from dsock.events import MethodsDiffer, Notify

log = structlog.stdlib.get_logger("dsock.redis")


class Directory:
    """What workers have written about themselves. `method` is that of this API."""

    def __init__(self, pipe: Calls, keys: Keys, method: str, notify: Notify) -> None:
        self._pipe = pipe
        self._keys = keys
        self._method = method
        self._notify = notify
        self._addresses: dict[str, str | None] = {}
        self._compared: set[str] = set()

    async def address(self, worker: str) -> str | None:
        """A worker's `host:port`; None when it takes no direct messages, or is not known."""
        if worker not in self._addresses:
            key = self._keys.worker(worker)
            ping, address = await self._pipe.call("HMGET", key, "lastPing", "ip")
            if ping is None:
                return None
            self._addresses[worker] = address or None
        return self._addresses[worker]

    def forget(self, worker: str) -> None:
        """Ask again: nobody was there."""
        self._addresses.pop(worker, None)

    async def compare(self, workers: Iterable[str]) -> None:
        """Tell of each of these workers, once, if it is set to another method. What is known
        of others is forgotten."""
        alive = set(workers)
        self._compared &= alive
        for worker in self._addresses.keys() - alive:
            self.forget(worker)
        for worker in alive - self._compared:
            address = await self.address(worker)
            if worker not in self._addresses:
                continue  # It has not written it yet.
            self._compared.add(worker)
            method = "direct" if address else "redis"
            if method != self._method:
                self._notify(MethodsDiffer(here=self._method, there=method, worker=worker))
