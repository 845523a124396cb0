"""A running cluster for a test that is not a coroutine: its loop turns in a thread."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

import pytest
import uvloop

from dsock.backends.memory import MemoryBackend
from tests.support.cluster import Cluster, memory_cluster, redis_cluster
from tests.support.crowd import Crowd
from tests.support.redis_server import RedisServer

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds for one step."""


class World:
    """A cluster and its clients; `run` does something there and gives the result."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.cluster: Cluster
        self.crowd: Crowd
        self.rounds = 0
        self._loop = loop
        self._ahead = 0.0

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(PATIENCE)

    def clock(self) -> float:
        """The time by which claims in memory end."""
        return time.monotonic() + self._ahead

    def wait_for_end_of(self, claims: dict[str, float], redis: RedisServer | None) -> None:
        """Let the claims with these lifetimes end: time passes, by the clock of memory or,
        for Redis, by the life of its keys."""
        if redis is None:
            self._ahead += max(claims.values(), default=0.0)
            return
        with redis.client() as client:
            for id in claims:
                client.pexpire(f"claim:{id}", 1)
                while client.exists(f"claim:{id}"):
                    pass


@contextmanager
def world_of(redis: RedisServer | None, **settings: Any) -> Iterator[World]:
    """A world with a cluster on this Redis, with these settings, or on memory."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    world = World(loop)
    cluster: AbstractAsyncContextManager[Cluster]
    with pytest.MonkeyPatch.context() as patch:
        if redis is None:
            # The same backend, on a clock that the test moves.
            clocked = functools.partial(MemoryBackend, world.clock)
            patch.setattr("dsock.node.MemoryBackend", clocked)
            cluster = memory_cluster()
        else:
            cluster = redis_cluster(redis, **settings)
        try:
            world.cluster = world.run(cluster.__aenter__())
            world.crowd = Crowd(world.cluster)
            yield world
            world.run(world.crowd.leave())
            world.run(_left(cluster))
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _left(cluster: AbstractAsyncContextManager[Cluster]) -> None:
    await cluster.__aexit__(None, None, None)
