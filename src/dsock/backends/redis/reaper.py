"""Removing what a worker has written: its own at the end, or a dead one's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from dsock.backends.redis.calls import Calls
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.records import Records

MARK_LIFE = 24 * 60 * 60
"""Seconds for which a worker that was declared gone can find out."""


class Reaper:
    """Every step may be repeated, and by several nodes at once."""

    def __init__(self, pipe: Calls, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys
        self._records = Records(pipe, keys)

    async def declare_gone(self, worker: str) -> None:
        """Mark a worker, so that it will know should it return; then remove its records."""
        await self.mark((worker,))
        await self.remove(worker)

    async def mark(self, workers: Iterable[str]) -> None:
        """Let these know that they were declared gone."""
        keys = map(self._keys.reaped, workers)
        await asyncio.gather(*(self._pipe.call("SET", key, 1, "EX", MARK_LIFE) for key in keys))

    async def remove(self, worker: str) -> None:
        """Remove a worker's records; its place among the workers goes last."""
        listed = await self._records.listed(worker)
        await self._records.remove_listed(worker, listed)
        await self._pipe.call("DEL", self._keys.worker(worker))
        await self._pipe.call("ZREM", self._keys.workers(), worker)
