"""What is promised holds on a Redis Cluster too, where the order of commands is not given; and
for a Redis user that may do no more than is documented."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import BACKENDS, cluster_of
from tests.support.cluster import Cluster, redis_cluster
from tests.support.redis_server import RedisServer
from tests.support.rights import limited_user


@pytest.fixture(params=[*BACKENDS, "cluster", "limited"])
async def cluster(
    request: pytest.FixtureRequest, options: dict[str, Any]
) -> AsyncIterator[Cluster]:
    """Two API nodes and two workers with these options."""
    if request.param != "limited":
        async with cluster_of(request, options) as cluster:
            yield cluster
        return
    redis: RedisServer = request.getfixturevalue("redis")
    with limited_user(redis) as user:
        async with redis_cluster(redis, **options, **user) as cluster:
            yield cluster
