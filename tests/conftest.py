"""What every test may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import hypothesis
import pytest
import uvloop

from dsock.backends.redis.watch import DOUBT
from tests.support.cluster import Cluster, direct, memory_cluster, redis_cluster
from tests.support.crowd import Crowd, crowd_at
from tests.support.redis_server import RedisServer

# The machine may be busy: no example fails for being slow.
hypothesis.settings.register_profile("dsock", deadline=None)
hypothesis.settings.load_profile("dsock")

BACKENDS = ["memory", "redis", "direct"]
"""What all that is said of a cluster must hold on: the last is Redis with direct messaging."""


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Any]:
    """Tests run on the loop that the product runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def redis_session() -> Iterator[RedisServer]:
    with RedisServer() as server:
        # While it is fresh every worker is told everything; tests of that start their own.
        server.wait_for_uptime(DOUBT)
        yield server


@pytest.fixture
def redis(redis_session: RedisServer) -> RedisServer:
    """A Redis that is up and empty. A test that breaks one starts its own."""
    redis_session.empty()
    return redis_session


@pytest.fixture
def options() -> dict[str, Any]:
    """What differs from the default settings; a test may be parametrized with its own."""
    return {}


@pytest.fixture(params=BACKENDS)
async def cluster(
    request: pytest.FixtureRequest, options: dict[str, Any]
) -> AsyncIterator[Cluster]:
    """Two API nodes and two workers with these options; on memory one node is all of them."""
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


@pytest.fixture
async def node() -> AsyncIterator[Cluster]:
    """One node on memory, for what no backend has a part in."""
    async with memory_cluster() as cluster:
        yield cluster
