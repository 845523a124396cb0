"""What could be left over in this process."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dsock.worker.connection import Connection
from tests.support.cluster import Cluster
from tests.support.eventually import eventually

FEW = 20
"""Tasks that may come and go meanwhile: far fewer than the clients of any test here."""


def connections_alive() -> int:
    """How many connections are in memory, whoever still holds them."""
    gc.collect()
    return sum(type(one) is Connection for one in gc.get_objects())


def registered(cluster: Cluster) -> int:
    """How many connections, users and channels all workers have together."""
    workers = [node.worker for node in cluster.nodes if node.worker]
    return sum(sum(worker.registry.sizes()) for worker in workers)


@asynccontextmanager
async def nothing_left(cluster: Cluster, within: float = 2.0) -> AsyncIterator[None]:
    """Who comes inside this context has left no task, no connection and no name in a
    registry soon after it."""
    tasks, connections, names = len(asyncio.all_tasks()), connections_alive(), registered(cluster)
    yield
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks + FEW, within)
    assert registered(cluster) == names
    await eventually(lambda: connections_alive() <= connections, within)
