"""What every test may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import hypothesis
import pytest
import uvloop

from dsock.backends.redis.watch import DOUBT
from tests.support.cluster import Cluster, direct, memory_cluster, redis_cluster
from tests.support.crowd import Crowd, crowd_at
from tests.support.redis_cluster import ClusteredRedis
from tests.support.redis_server import RedisServer, Servers
from tests.support.sentinels import WatchedRedis

# The machine may be busy: no example fails for being slow.
hypothesis.settings.register_profile("dsock", deadline=None)
hypothesis.settings.load_profile("dsock")

BACKENDS = ["memory", "redis", "direct"]
"""What all that is said of a cluster must hold on: the last is Redis with direct messaging."""

TOPOLOGIES = ["sentinel", "cluster"]
"""What Redis may be beside one server: for what depends on it."""


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Any]:
    """Tests run on the loop that the product runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def redis_session() -> Iterator[RedisServer]:
    with RedisServer() as server:
        # While it is fresh every worker is told everything; tests of that start their own.
        server.wait_for_uptime(DOUBT)
        yield server


@pytest.fixture(scope="session")
def sentinel_session() -> Iterator[WatchedRedis]:
    with WatchedRedis(down_after=10.0) as servers:
        servers.wait_for_uptime(DOUBT)
        yield servers


@pytest.fixture(scope="session")
def cluster_session() -> Iterator[ClusteredRedis]:
    with ClusteredRedis(timeout=10.0) as servers:
        servers.wait_for_uptime(DOUBT)
        yield servers


@pytest.fixture
def redis(request: pytest.FixtureRequest) -> Servers:
    """A Redis that is up and empty, of the kind that the test's backend or cluster is on. A
    test that breaks one starts its own."""
    on = getattr(request.node, "callspec", None)
    kind = on and (on.params.get("backend") or on.params.get("cluster"))
    name = f"{kind}_session" if kind in TOPOLOGIES else "redis_session"
    servers: Servers = request.getfixturevalue(name)
    servers.empty()
    return servers


@pytest.fixture
def options() -> dict[str, Any]:
    """What differs from the default settings; a test may be parametrized with its own."""
    return {}


@pytest.fixture(params=BACKENDS)
async def cluster(
    request: pytest.FixtureRequest, options: dict[str, Any]
) -> AsyncIterator[Cluster]:
    """Two API nodes and two workers with these options; on memory one node is all of them."""
    async with cluster_of(request, options) as cluster:
        yield cluster


def cluster_of(
    request: pytest.FixtureRequest, options: dict[str, Any]
) -> AbstractAsyncContextManager[Cluster]:
    """The cluster on the backend or topology that the parameter names."""
    if request.param == "memory":
        return memory_cluster(**options)
    options = {**options, **(direct() if request.param == "direct" else {})}
    return redis_cluster(request.getfixturevalue("redis"), **options)


@pytest.fixture
async def crowd(cluster: Cluster) -> AsyncIterator[Crowd]:
    """The clients of the cluster."""
    async with crowd_at(cluster) as crowd:
        yield crowd


@pytest.fixture
async def node() -> AsyncIterator[Cluster]:
    """One node on memory, for what no backend has a part in."""
    async with memory_cluster() as cluster:
        yield cluster
