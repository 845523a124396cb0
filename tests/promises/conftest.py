"""What is promised holds on a Redis Cluster too, where the order of commands is not given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import BACKENDS, cluster_of
from tests.support.cluster import Cluster


@pytest.fixture(params=[*BACKENDS, "cluster"])
async def cluster(
    request: pytest.FixtureRequest, options: dict[str, Any]
) -> AsyncIterator[Cluster]:
    """Two API nodes and two workers with these options."""
    async with cluster_of(request, options) as cluster:
        yield cluster
