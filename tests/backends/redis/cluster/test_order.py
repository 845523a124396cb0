"""What must not happen before something else does not, though other masters are quicker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from tests.support.cluster import Cluster, redis_cluster
from tests.support.eventually import eventually, holds_within
from tests.support.redis_cluster import ClusteredRedis
from tests.support.wire import open_wire

CHANNELS = [f"channel-{number}" for number in range(20)]
"""So many that every master has some."""

STILL = 0.5
"""Seconds for which a master stands still: shorter than what its replica waits for."""


@pytest.fixture
def servers(cluster_session: ClusteredRedis) -> ClusteredRedis:
    cluster_session.empty()
    return cluster_session


@pytest.fixture
async def cluster(servers: ClusteredRedis) -> AsyncIterator[Cluster]:
    async with redis_cluster(servers, redis_timeout=10) as cluster:
        yield cluster


def apart(servers: ClusteredRedis, slow: str, others: list[str]) -> str:
    """A name with which `slow` is on another master than all of `others`."""
    for number in range(1000):
        name = f"name-{number}-long-enough"
        there = servers.owner(slow.format(name))
        if all(servers.owner(key.format(name)) is not there for key in others):
            return name
    raise AssertionError("all on one master")


@contextmanager
def standing_still(servers: ClusteredRedis, key: str) -> Iterator[None]:
    server = servers.owner(key)
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


def exists(servers: ClusteredRedis, key: str) -> bool:
    with servers.owner(key).client() as client:
        return bool(client.exists(key))


async def test_no_claim_is_there_before_its_sets_have_it(
    servers: ClusteredRedis, cluster: Cluster
) -> None:
    name = apart(servers, "claim-user:{}", ["claim:{}"])
    with standing_still(servers, f"claim-user:{name}"):
        making = asyncio.create_task(cluster.api.claim(name, id=name))
        assert not await holds_within(lambda: exists(servers, f"claim:{name}"), STILL)
    assert await making == name
    assert exists(servers, f"claim:{name}")


async def test_no_claim_is_taken_before_the_routes_are_open(
    servers: ClusteredRedis, cluster: Cluster
) -> None:
    name = apart(servers, "user-workers:{}", ["claim:{}"])
    await cluster.api.claim(name, id=name)
    with standing_still(servers, f"user-workers:{name}"):
        connecting = asyncio.create_task(_connected(cluster, name))
        assert not await holds_within(lambda: not exists(servers, f"claim:{name}"), STILL)
    await connecting
    assert not exists(servers, f"claim:{name}")


async def test_no_record_ends_before_its_id_has_left_the_sets(
    servers: ClusteredRedis, cluster: Cluster
) -> None:
    async with cluster.client("u", channels=",".join(CHANNELS)) as client:
        [shown] = (await cluster.api.info(user="u"))["connections"]
        record = f"conn:{shown['id']}"
        [channel, *_] = [
            f"channel:{name}"
            for name in CHANNELS
            if servers.owner(f"channel:{name}") is not servers.owner(record)
        ]
        with standing_still(servers, channel):
            await client.close()
            assert not await holds_within(lambda: not exists(servers, record), STILL)
        await eventually(lambda: not exists(servers, record))


async def _connected(cluster: Cluster, claim: str) -> None:
    async with open_wire(cluster.workers[0], f"claim={claim}"):
        pass
