"""Which master has which slot."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import structlog
from redis.asyncio.connection import AbstractConnection
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from dsock.backends.redis.calls import NotThere
from dsock.backends.redis.connections import Dial, Server, connected
from dsock.backends.redis.pipe import OUT_OF_REACH

ASKED = 5
"""Servers that are asked at once: what most of them say counts."""

PATIENCE = 0.5
"""Seconds for which those that do not answer are waited for."""

EVERY, PAUSE = 30.0, 0.2
"""Seconds between two looks; between two while something is wrong."""

View = tuple[tuple[int, int, tuple[Server, ...]], ...]
"""First slot, last slot, and who has them: the master, then its replicas."""


Masters = tuple[tuple[int, int, Server], ...]
"""The same without replicas."""


class Follower(Protocol):
    """Who goes to the masters."""

    @property
    def misses(self) -> bool:
        """Whether one of them is out of reach."""

    def look_round(self) -> None:
        """The masters are others than before."""


log = structlog.stdlib.get_logger("dsock.redis")


def slot_of(key: str | bytes | int | float) -> int:
    """The slot of a key or a sharded channel."""
    slot: int = key_slot(key if isinstance(key, bytes) else str(key).encode())
    return slot


class Slots:
    """What a Cluster looks like, as far as is known; shared by all that goes to it."""

    def __init__(self, seeds: Sequence[Server], dial: Dial) -> None:
        self.masters: tuple[Server, ...] = ()
        """All that have slots."""
        self.followers: list[Follower] = []
        self._seeds = tuple(seeds)
        self._dial = dial
        self._owners: list[Server | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._known: tuple[Server, ...] = ()
        self._suspected = asyncio.Event()

    def owner(self, slot: int) -> Server | None:
        """The master of a slot; None when nobody is known to have it."""
        return self._owners[slot]

    def moved(self, slot: int, server: Server) -> None:
        """A server has said that another has this slot."""
        if self._owners[slot] != server:
            self._owners[slot] = server
            self._tell()
        self.suspect()

    def suspect(self) -> None:
        """Something is not as it was: look soon."""
        self._suspected.set()

    async def run(self) -> None:
        """Look when there is reason to, and now and then, until cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._suspected.wait(), EVERY)
            self._suspected.clear()
            try:
                await self.look()
            except (*OUT_OF_REACH, RedisError):
                self.suspect()
            except Exception:
                log.exception("looking at the Cluster failed")
            await asyncio.sleep(PAUSE)
            if any(follower.misses for follower in self.followers):
                self.suspect()

    async def look(self) -> None:
        """Ask some servers. Raises what redis-py raises, or `OSError`, if none answers."""
        known = tuple({*self._known, *self._seeds})
        chosen = random.sample(known, min(ASKED, len(known)))
        asked = [asyncio.create_task(self._ask(one)) for one in chosen]
        try:
            await asyncio.wait(asked, timeout=PATIENCE)
        finally:
            for one in asked:
                one.cancel()
            await asyncio.wait(asked)
        views = [one.result() for one in asked if not one.cancelled() and not one.exception()]
        if not views:
            raise _why_none([one.exception() for one in asked if not one.cancelled()])
        # Of masters: each server lists replicas in an order of its own.
        [(owners, _)] = Counter(map(_masters, views)).most_common(1)
        self._known = tuple({server for view in views for *_, all in view for server in all})
        self._see(owners)

    async def _ask(self, server: Server) -> View:
        connection = await connected(self._dial(server))
        try:
            return await _read(connection, server)
        finally:
            await connection.disconnect(nowait=True)

    def _see(self, masters: Masters) -> None:
        owners: list[Server | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, master in masters:
            owners[first : last + 1] = [master] * (last + 1 - first)
        self._owners = owners
        self._tell()

    def _tell(self) -> None:
        masters = tuple(sorted({owner for owner in self._owners if owner}))
        if masters != self.masters:
            self.masters = masters
            for follower in self.followers:
                follower.look_round()


async def _read(connection: AbstractConnection, asked: Server) -> View:
    await connection.send_command("CLUSTER", "SLOTS", check_health=False)
    rows = await connection.read_response()
    if not rows:
        raise RedisConnectionError("it has no slots yet")
    return tuple(
        sorted(
            # One that does not know its own name leaves it out.
            (first, last, tuple(Server(host or asked.host, port) for host, port, *_ in servers))
            for first, last, *servers in rows
        )
    )


def _masters(view: View) -> Masters:
    return tuple((first, last, servers[0]) for first, last, servers in view)


def _why_none(errors: Sequence[BaseException | None]) -> BaseException:
    for error in errors:
        if isinstance(error, ResponseError) and "cluster support disabled" in str(error):
            return NotThere("Redis is no Cluster: leave out redis_mode=cluster")
    return next(filter(None, errors), RedisConnectionError("no server of the Cluster answers"))
