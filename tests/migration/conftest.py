"""One of our APIs, two of our workers, and a Go API, all on one Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.migration.go_api import GoApi
from tests.support.cluster import Caller, Cluster, node_up
from tests.support.crowd import Crowd, crowd_at
from tests.support.redis_server import RedisServer
from tests.support.together import together


@pytest.fixture
def go(redis: RedisServer) -> Iterator[GoApi]:
    api = GoApi(redis)
    yield api
    api.close()


@pytest.fixture
async def cluster(redis: RedisServer) -> AsyncIterator[Cluster]:
    workers = (node_up("worker", redis_host=redis.address) for _ in range(2))
    async with together(*workers, node_up("api", redis_host=redis.address)) as nodes:
        *workers_at, api_at = [address for _, address in nodes]
        caller = Caller(f"http://{api_at}")
        async with caller.http:
            yield Cluster("redis", [caller], workers_at, [node for node, _ in nodes])


@pytest.fixture
async def crowd(cluster: Cluster) -> AsyncIterator[Crowd]:
    async with crowd_at(cluster) as crowd:
        yield crowd
