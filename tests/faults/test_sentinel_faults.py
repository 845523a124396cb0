"""Sentinels replace the master: delivery goes on by itself, and clients stay connected."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.faults.support import Teller, all_ready, audience, cluster_with, shown
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.sentinels import WatchedRedis

PROMOTED, RESUMED = 20.0, 10.0
NOTICED = 5.0
AFTER_WAKING = 5.0
"""Seconds in which an old master that wakes must not be noticed."""


@pytest.fixture
def servers() -> Iterator[WatchedRedis]:
    with WatchedRedis() as servers:
        yield servers


def is_replica(server: RedisServer) -> bool:
    with server.client() as client:
        return bool(client.role()[0] == "slave")


def heard_at(server: RedisServer) -> set[str]:
    """The channels to which anybody is subscribed."""
    with server.client() as client:
        return set(client.pubsub_channels())


@pytest.mark.parametrize("frozen", [False, True])
async def test_b81_delivery_resumes_by_itself_when_the_sentinels_have_named_another_master(
    servers: WatchedRedis, frozen: bool
) -> None:
    async with cluster_with(**servers.options) as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        assert await teller.tell()
        old = servers.master()
        if frozen:
            old.freeze()
        else:
            old.kill()
        await eventually(lambda: servers.master() is not old, PROMOTED)
        await eventually(teller.tell, RESUMED)
        await eventually(lambda: all_ready(cluster), RESUMED)
        assert await shown(cluster, "u") == len(listeners)
        if frozen:
            old.thaw()
            loop = asyncio.get_running_loop()
            end = loop.time() + AFTER_WAKING
            while loop.time() < end or not is_replica(old):
                assert await teller.tell()
                assert await all_ready(cluster)
        await teller.check()
        assert all(client.close_code is None for client in listeners)


async def test_a_master_that_was_demoted_in_good_order_is_left_for_the_new_one(
    servers: WatchedRedis,
) -> None:
    async with cluster_with(**servers.options) as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        old = servers.master()
        with servers.sentinels[0].client() as client:
            client.sentinel_failover("dsock-master")
        await eventually(lambda: servers.master() is not old, PROMOTED)
        # It still takes writes, until the Sentinels tell it.
        await eventually(lambda: heard_at(old) == {"__sentinel__:hello"}, NOTICED)
        await eventually(teller.tell, RESUMED)
        await eventually(lambda: all_ready(cluster), RESUMED)
        await teller.check()
        assert all(client.close_code is None for client in listeners)


async def test_one_sentinel_that_answers_is_enough(servers: WatchedRedis) -> None:
    servers.sentinels[0].freeze()
    servers.sentinels[1].kill()
    async with cluster_with(**servers.options) as cluster, audience(cluster) as listeners:
        assert await Teller(cluster, listeners).tell()
