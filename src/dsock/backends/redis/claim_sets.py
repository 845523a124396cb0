"""Keeping the `claim-*` sets small.

A claim that is used or voided leaves its sets; one that just expires cannot. Where claims
keep coming, a set never ends by itself, so every now and then a sample of it is looked at.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence

import structlog

from dsock.backends.redis import scripts
from dsock.backends.redis.calls import Calls, Reply
from dsock.backends.redis.keys import Keys
from dsock.errors import Unavailable

EVERY = 50
"""Claims created between two samples."""

SAMPLE = 100
"""Ids in a sample: twice as many as can have come since the last one."""

GRACE = 10.0
"""Seconds for which an id must be without a claim: one that is just being created is in its
sets first."""

INDEX_MARGIN = 10
"""Seconds that a set outlives its last claim."""

NO_CLAIM = -2
"""What PTTL says of a key that is not there."""

log = structlog.stdlib.get_logger("dsock.redis")


class ClaimSets:
    """Takes ids without a claim out of the sets that new claims enter."""

    def __init__(self, pipe: Calls, keys: Keys, grace: float = GRACE) -> None:
        self._pipe = pipe
        self._keys = keys
        self._grace = grace
        self._created = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def entered(self, sets: Iterable[str]) -> None:
        """A claim has entered these sets."""
        if next(self._created) % EVERY == 0:
            for key in sets:
                task = asyncio.create_task(self.tidy(key))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def enter(self, key: str, id: str, life: int) -> Reply:
        """Put a claim that has so many milliseconds left into a set; below 0, one without an
        end."""
        if life < 0:
            # The claim is another program's: the set has no end either.
            return self._pipe.call("SADD", key, id)
        life += INDEX_MARGIN * 1000
        return self._pipe.call("EVAL", scripts.INDEX_CLAIM, 1, key, id, life)

    async def leave(self, gone: Mapping[str, Sequence[str]]) -> None:
        """Take ids whose claims are gone out of sets; but an id of a caller's own choice may be
        used again at this very moment, and then it stays."""
        ids = list(dict.fromkeys(id for of_set in gone.values() for id in of_set))
        left = [self._pipe.call("SREM", key, *of_set) for key, of_set in gone.items()]
        lives = [self._pipe.call("PTTL", self._keys.claim(id), after=left) for id in ids]
        await asyncio.gather(*left, *lives)
        back = {id: life.result() for id, life in zip(ids, lives, strict=True)}
        await asyncio.gather(
            *(
                self.enter(key, id, back[id])
                for key, of_set in gone.items()
                for id in of_set
                if back[id] != NO_CLAIM
            )
        )

    def close(self) -> None:
        """Stop tidying."""
        for task in self._tasks:
            task.cancel()

    async def tidy(self, key: str) -> None:
        """Look at a sample of a set, wait, look again, and remove what is gone."""
        try:
            sample = await self._pipe.call("SRANDMEMBER", key, SAMPLE)
            if not (gone := await self._without_claim(sample)):
                return
            await asyncio.sleep(self._grace)
            if not (gone := await self._without_claim(gone)):
                return
            await self.leave({key: gone})
        except Unavailable:
            pass  # The next sample will do.
        except Exception:
            log.exception("tidying a set of claims failed")

    async def _without_claim(self, ids: list[str]) -> list[str]:
        calls = [self._pipe.call("EXISTS", self._keys.claim(id)) for id in ids]
        exist = await asyncio.gather(*calls)
        return [id for id, exists in zip(ids, exist, strict=True) if not exists]
