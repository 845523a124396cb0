"""Who is alive, and whether Redis still knows what it should."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import structlog

from dsock.backends.redis.calls import Calls
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.reaper import Reaper
from dsock.errors import Unavailable
from dsock.events import Notify, WorkerGone

LOOK = 1.0
"""Seconds between two looks."""

DOUBT = 10.0
"""Seconds for which Redis may lack routes after it was restarted or out of reach."""

MAX_GONE = 1000
"""Workers of which it is remembered that they were declared gone; the last ones."""

MEMORY = 60
"""Seconds for which Redis is to remember that this node has looked."""

SETTLED = 5.0
"""Seconds within which all workers have announced themselves to such a Redis."""

log = structlog.stdlib.get_logger("dsock.redis")


@dataclass(slots=True)
class _Seen:
    """A worker's last beat, before what Redis may have forgotten it was seen, and for how long
    and how many looks it has been silent since."""

    beat: str
    era: tuple[int, int]
    silent: float = 0.0
    looks: int = 0


class Watch:
    """Looks at every worker's beat. A worker is silent only for as long as this node could
    itself read and write: after an outage nobody is declared gone at once."""

    def __init__(
        self, pipe: Calls, keys: Keys, reaper: Reaper, lease: float, notify: Notify
    ) -> None:
        self._pipe = pipe
        self._keys = keys
        self._reaper = reaper
        self._lease = lease
        self._notify = notify
        self._seen: dict[str, _Seen] = {}
        self._looked_at: float | None = None
        self._removing: dict[str, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._connects = 0
        self._doubt_ends = 0.0
        self._memory = keys.memory(str(uuid4()))
        self._memory_ends = 0.0
        self._losses = 0
        self._gone: dict[str, None] = {}
        self._marked_in = self._era

    @property
    def workers(self) -> set[str]:
        """All workers whose lease has not ended, as far as this node knows."""
        return set(self._seen)

    @property
    def sees(self) -> bool:
        """Whether Redis has lately let this node read, and would have let it write."""
        return self._looked_at is not None and self._loop.time() - self._looked_at < 3 * LOOK

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

    async def settle(self) -> None:
        """Wait until workers that were there before Redis was started have had the time to
        announce themselves."""
        await asyncio.sleep(self._doubt_ends - DOUBT + SETTLED - self._loop.time())

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        try:
            while True:
                try:
                    await self.look()
                except Unavailable:
                    self._looked_at = None
                except Exception:
                    log.exception("watch failed")
                await asyncio.sleep(LOOK)
        finally:
            for removing in self._removing.values():
                removing.cancel()

    async def look(self) -> None:
        """Read all beats once; begin to remove whose lease has ended. Raises `Unavailable`
        unless all of Redis answers: a worker may be silent because a part of it does not."""
        key, asked = self._keys.workers(), self._loop.time()
        remembered = self._pipe.call("EXISTS", self._memory)
        kept = self._pipe.call("SET", self._memory, 1, "EX", MEMORY)
        # Changes nothing, but fails where a beat would: a Redis that takes no writes says
        # nothing about who is alive.
        writable = self._pipe.call("ZADD", key, "XX", 0, "nobody")
        read = self._pipe.call("ZRANGE", key, 0, -1, "WITHSCORES")
        remembers, _, _, rows, *_ = await asyncio.gather(
            remembered, kept, writable, read, *self._pipe.check()
        )
        before, self._looked_at = self._looked_at, self._loop.time()
        # A Redis that let this look wait has let no worker beat meanwhile.
        passed = min(asked - before, 2 * LOOK) if before is not None else 0.0
        await self.in_doubt()
        if not remembers and asked < self._memory_ends:
            # It was emptied, and no connection has ended that would have said so.
            self._losses += 1
            self._doubt_ends = self._looked_at + DOUBT
        self._memory_ends = asked + MEMORY / 2
        if self._marked_in != (era := self._era):
            # Who was declared gone may not know yet, and its mark may have been forgotten.
            await self._reaper.mark(self._gone)
            self._marked_in = era
        beats = dict(zip(rows[::2], rows[1::2], strict=True))
        fresh = {
            worker
            for worker, beat in beats.items()
            if worker not in self._seen or self._seen[worker].beat != beat
        }
        for worker in fresh:
            self._seen[worker] = _Seen(beats[worker], self._era)
        for worker, seen in tuple(self._seen.items()):
            if worker not in beats and not await self._may_return(worker, seen):
                self._seen.pop(worker, None)  # It has left in good order.
                continue
            # Who is not there at all, whether it left or Redis has forgotten it, has its
            # lease to come back like one that is silent.
            if worker not in fresh:
                seen.silent += passed
                seen.looks += 1
            # One look alone may be late by a whole lease, on a machine that has held up all.
            is_over = seen.silent >= self._lease and seen.looks > 1
            if is_over and worker not in self._removing:
                # Beside the looking: it may take long, and the others go on beating.
                removing = self._loop.create_task(self._remove(worker, seen, worker in beats))
                self._removing[worker] = removing

    async def _remove(self, worker: str, seen: _Seen, is_listed: bool) -> None:
        try:
            if is_listed or await self._may_return(worker, seen):
                await self._reaper.declare_gone(worker)
                self._remember_gone(worker)
                self._notify(WorkerGone(worker))
            # If it has beaten again meanwhile, the next look finds it anew.
            self._seen.pop(worker, None)
        except Unavailable:
            log.warning("could not remove what a dead worker has left, yet", worker=worker)
        finally:
            del self._removing[worker]

    def _remember_gone(self, worker: str) -> None:
        self._gone.pop(worker, None)
        self._gone[worker] = None
        if len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]

    async def _may_return(self, worker: str, seen: _Seen) -> bool:
        """Whether a worker that is not among the others has not just left in good order:
        Redis may have been emptied, or it died while it announced itself."""
        forgotten = seen.era != self._era
        return forgotten or bool(await self._pipe.call("EXISTS", self._keys.records(worker)))

    @property
    def _era(self) -> tuple[int, int]:
        """Another one once Redis may have forgotten what it knew."""
        return self._pipe.connects, self._losses

    async def _uptime(self) -> float:
        texts = await asyncio.gather(*self._pipe.everywhere("INFO", "server"))
        lines = (line.partition(":") for text in texts for line in text.splitlines())
        times = [float(value) for name, _, value in lines if name == "uptime_in_seconds"]
        return min(times, default=0.0)
