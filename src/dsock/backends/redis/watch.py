"""Who is alive, and whether Redis still knows what it should."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from dsock.backends.redis.keys import Keys
from dsock.backends.redis.pipe import Pipe
from dsock.backends.redis.reaper import Reaper
from dsock.errors import Unavailable
from dsock.events import Notify, WorkerGone

LOOK = 1.0
"""Seconds between two looks."""

DOUBT = 10.0
"""Seconds for which Redis may lack routes after it was restarted or out of reach."""

log = structlog.stdlib.get_logger("dsock.redis")


@dataclass(slots=True)
class _Seen:
    beat: str
    silent: float = 0.0


class Watch:
    """Looks at every worker's beat. A worker is silent only for as long as this node could
    itself reach Redis: after an outage nobody is declared gone at once."""

    def __init__(
        self, pipe: Pipe, keys: Keys, reaper: Reaper, lease: float, notify: Notify
    ) -> None:
        self._pipe = pipe
        self._keys = keys
        self._reaper = reaper
        self._lease = lease
        self._notify = notify
        self._seen: dict[str, _Seen] = {}
        self._looked_at: float | None = None
        self._loop = asyncio.get_running_loop()
        self._connects = 0
        self._doubt_ends = 0.0

    @property
    def workers(self) -> set[str]:
        """All workers whose lease has not ended, as far as this node knows."""
        return set(self._seen)

    async def in_doubt(self) -> bool:
        """Whether routes may be missing, so that every worker must be told."""
        now = self._loop.time()
        if self._connects != self._pipe.connects:
            first = self._connects == 0
            self._connects = self._pipe.connects
            # Whoever was not there when it came up cannot tell how long it has been up.
            since = await self._uptime() if first else 0.0
            self._doubt_ends = now + DOUBT - since
        return now < self._doubt_ends

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable:
                self._looked_at = None
            except Exception:
                log.exception("watch failed")
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """Read all beats once; declare gone whose lease has ended."""
        rows = await self._pipe.call("ZRANGE", self._keys.workers(), 0, -1, "WITHSCORES")
        now, before = self._loop.time(), self._looked_at
        self._looked_at = now
        passed = min(now - before, 2 * LOOK) if before is not None else 0.0
        await self.in_doubt()
        beats = dict(zip(rows[::2], rows[1::2], strict=True))
        for worker, beat in beats.items():
            seen = self._seen.get(worker)
            if seen is None or seen.beat != beat:
                self._seen[worker] = _Seen(beat)
            else:
                seen.silent += passed
        for worker, seen in tuple(self._seen.items()):
            if worker not in beats:
                # Redis may have forgotten it: it has its lease to announce itself.
                seen.silent += passed
            if seen.silent >= self._lease:
                if worker in beats:
                    await self._reaper.declare_gone(worker)
                    self._notify(WorkerGone(worker))
                del self._seen[worker]

    async def _uptime(self) -> float:
        text = await self._pipe.call("INFO", "server")
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name == "uptime_in_seconds":
                return float(value)
        return 0.0
