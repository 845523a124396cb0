"""Sentinels replace the master: delivery goes on by itself, and clients stay connected."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.faults.support import HELD_UP, Teller, all_ready, audience, cluster_with
from tests.support.cluster import Cluster
from tests.support.eventually import eventually, holds_within
from tests.support.redis_server import RedisServer
from tests.support.sentinels import WatchedRedis

DOWN_AFTER = 4.0
"""Seconds of silence after which a master is replaced: longer than a busy machine holds it up."""

PROMOTED, RESUMED = 20.0, 10.0
NOTICED = 5.0
FEW = 3
AFTER_WAKING = 5.0
"""Seconds in which an old master that wakes must not be noticed."""


@pytest.fixture
def servers() -> Iterator[WatchedRedis]:
    with WatchedRedis(down_after=DOWN_AFTER) as servers:
        yield servers


def is_replica(server: RedisServer) -> bool:
    with server.client() as client:
        return bool(client.role()[0] == "slave")


def heard_at(server: RedisServer) -> set[str]:
    """The channels to which anybody is subscribed."""
    with server.client() as client:
        return set(client.pubsub_channels())


async def connections(cluster: Cluster) -> set[tuple[str, str]]:
    """What `/info` shows: ids, and workers."""
    found = (await cluster.api.info(user="u"))["connections"]
    return {(one["id"], one["worker"]) for one in found}


@pytest.mark.parametrize("frozen", [False, True])
async def test_b81_delivery_resumes_by_itself_when_the_sentinels_have_named_another_master(
    servers: WatchedRedis, frozen: bool
) -> None:
    async with cluster_with(**servers.options) as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        assert await teller.tell()
        before = await connections(cluster)
        old = servers.master()
        if frozen:
            old.freeze()
        else:
            old.kill()
        await eventually(lambda: servers.master() is not old, PROMOTED)
        took = await eventually(teller.tell, RESUMED)
        await eventually(lambda: all_ready(cluster), RESUMED - took)
        assert await connections(cluster) == before
        if frozen:
            old.thaw()
            loop = asyncio.get_running_loop()
            end = loop.time() + AFTER_WAKING
            while loop.time() < end or not is_replica(old):
                assert await teller.tell()
                assert await holds_within(lambda: all_ready(cluster), HELD_UP)
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


async def admits(cluster: Cluster, claim: str, worker: int = 0) -> bool:
    """Whether a client is let in with this claim. One who is told to come again does: what was
    said to a master that does not count any more has used nothing."""
    statuses: list[int] = []

    async def answered() -> bool:
        try:
            async with connect(cluster.url(f"?claim={claim}", worker)):
                statuses.append(101)
        except InvalidStatus as refused:
            statuses.append(refused.response.status_code)
        return statuses[-1] != 503

    await eventually(answered, RESUMED)
    assert statuses[-1] in (101, 401)
    return statuses[-1] == 101


async def admits_at_both(cluster: Cluster, claim: str) -> int:
    """How many of two clients that race for it are let in."""
    return sum(await asyncio.gather(*(admits(cluster, claim, worker) for worker in range(2))))


def replicate(server: RedisServer) -> None:
    """Wait until the replica has all that was written."""
    with server.client() as client:
        client.set("mark", 1, px=1)
        assert client.wait(1, int(NOTICED * 1000)) == 1


def lose_replica(server: RedisServer, replica: RedisServer) -> None:
    """What is written from now on does not get there."""
    replica.freeze()
    with server.client() as client:
        client.client_kill_filter(_type="replica")


@pytest.mark.parametrize("fault", ["killed", "frozen", "killed before its replica had all"])
async def test_a_claim_admits_one_across_a_failover_once_its_use_was_replicated(
    servers: WatchedRedis, fault: str
) -> None:
    replicated = fault in ("killed", "frozen")
    async with cluster_with(**servers.options) as cluster:
        old = servers.master()
        replica = next(server for server in servers.servers if server is not old)
        used, unused = [
            await asyncio.gather(*(cluster.api.claim("u", session=kind) for _ in range(FEW)))
            for kind in ("used", "unused")
        ]
        replicate(old)
        if not replicated:
            lose_replica(old, replica)
        assert [await admits(cluster, claim) for claim in used] == [True] * FEW
        if replicated:
            replicate(old)
        if fault == "frozen":
            old.freeze()
        else:
            old.kill()
        if not replicated:
            replica.thaw()
        await eventually(lambda: servers.master() is not old, PROMOTED)
        await eventually(lambda: all_ready(cluster), RESUMED)
        # The declared window: what its replica had not got when the master was lost.
        again = not replicated
        assert [await admits_at_both(cluster, claim) for claim in used] == [again] * FEW
        if fault == "frozen":
            old.thaw()
            await eventually(lambda: is_replica(old), PROMOTED)
        assert [await admits_at_both(cluster, claim) for claim in unused] == [1] * FEW
        assert [await admits_at_both(cluster, claim) for claim in used + unused] == [0] * 2 * FEW
