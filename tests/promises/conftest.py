"""The cluster and the clients that the promises are made to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conftest import BACKENDS
from tests.support.cluster import Caller, Cluster, direct, memory_cluster, node_up
from tests.support.crowd import Crowd, crowd_at
from tests.support.redis_server import RedisServer
from tests.support.together import together


@asynccontextmanager
async def redis_cluster(server: RedisServer, **options: Any) -> AsyncIterator[Cluster]:
    """As that of `tests.support.cluster`, but its nodes start and stop side by side: there
    are many tests here."""
    options["redis_host"] = server.address
    workers = (node_up("worker", **options) for _ in range(2))
    apis = (node_up("api", **options) for _ in range(2))
    async with together(*workers, *apis) as nodes:
        callers = [Caller(f"http://{address}") for _, address in nodes[2:]]
        async with callers[0].http, callers[1].http:
            workers_at = [address for _, address in nodes[:2]]
            method = options.get("messaging_method", "redis")
            yield Cluster(method, callers, workers_at, [node for node, _ in nodes])


@pytest.fixture
def options() -> dict[str, Any]:
    """What differs from the default settings; a test may be parametrized with its own."""
    return {}


@pytest.fixture(params=BACKENDS)
async def cluster(
    request: pytest.FixtureRequest, options: dict[str, Any]
) -> AsyncIterator[Cluster]:
    """Two API nodes and two workers with these options."""
    if request.param == "memory":
        async with memory_cluster(**options) as cluster:
            yield cluster
    else:
        server: RedisServer = request.getfixturevalue("redis")
        options = {**options, **(direct() if request.param == "direct" else {})}
        async with redis_cluster(server, **options) as cluster:
            yield cluster


@pytest.fixture
async def crowd(cluster: Cluster) -> AsyncIterator[Crowd]:
    """The clients of the cluster."""
    async with crowd_at(cluster) as crowd:
        yield crowd
