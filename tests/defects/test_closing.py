"""Whoever closes, and however many at once: nothing is left in memory or in Redis."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from tests.defects.leaks import nothing_left
from tests.faults.support import keys
from tests.support.cluster import Cluster
from tests.support.crowd import Crowd, after_turns, starts
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.wire import open_wire

LIMIT = 2**20
BODY = b"x" * 2**16
SENDS = 300
"""Much more than the systems of both sides take in."""

PAIRS, CYCLES, RACES = 150, 400, 60

# A ping that was sent is remembered for as long as its answer may take.
unpinged = pytest.mark.parametrize("options", [{"ping_interval": 3600.0}])


@pytest.mark.parametrize("options", [{"ping_interval": 3600.0, "send_buffer_limit": LIMIT}])
async def test_b18_what_was_sent_to_a_stalled_client_ends_with_it(cluster: Cluster) -> None:
    claim = await cluster.api.claim("stalled")
    async with nothing_left(cluster), open_wire(cluster.workers[1], f"claim={claim}", 4096):
        tracemalloc.start()
        try:
            for _ in range(SENDS):
                await cluster.api.send(BODY, "binary", user="stalled")
            # Most of it is gone; some calls were garbage that was not collected yet.
            assert tracemalloc.get_traced_memory()[1] < SENDS * len(BODY) / 2
        finally:
            tracemalloc.stop()
        # It was closed when too much waited; what came after that went nowhere.
        assert (await cluster.api.disconnect(user="stalled")).report["connections"] == 0


@unpinged
async def test_b20_a_disconnect_and_a_client_that_closes_at_once_leave_nothing(
    cluster: Cluster, crowd: Crowd
) -> None:
    async with nothing_left(cluster):
        for n in range(PAIRS):
            clients = [await crowd.join("user", worker) for worker in (0, 0, 1, 1)]
            early, late = starts(n)
            logout, *_ = await asyncio.gather(
                after_turns(early, cluster.apis[n % 2].disconnect(user="user")),
                *(after_turns(late, client.leave()) for client in clients),
            )
            assert logout.status == 200
        await crowd.leave()
        assert (await cluster.api.info(user="user"))["connections"] == []


@unpinged
async def test_b21_b22_b34_who_has_come_and_gone_is_forgotten_within_a_second(
    cluster: Cluster, crowd: Crowd
) -> None:
    async with nothing_left(cluster, within=1.0):
        for n in range(CYCLES):
            client = await crowd.join(f"user-{n}", n % 2, session=f"s-{n}", channels=f"c-{n},all")
            await client.leave()
        await crowd.leave()


@pytest.mark.usefixtures("fast_beats")
@pytest.mark.parametrize("options", [{"ttl_duration": 0.05}])
async def test_b26_a_refresh_or_a_subscribe_that_meets_a_close_leaves_no_ghost(
    cluster: Cluster, crowd: Crowd, redis: RedisServer
) -> None:
    for n in range(RACES):
        user, caller = f"user-{n}", cluster.apis[n % 2]
        # So many that a refresh does not come to all of them at once.
        joins = (crowd.join(user, i % 2, session="s", channels="a") for i in range(10))
        clients = await asyncio.gather(*joins)
        early, late = starts(n)
        moved, *_ = await asyncio.gather(
            after_turns(early, caller.subscribe(f"channel-{n}", user=user)),
            *(after_turns(late, client.leave()) for client in clients),
        )
        assert moved.status == 200

    def only_workers() -> bool:
        return all(key.partition(":")[0] in ("workers", "worker") for key in keys(redis))

    await eventually(only_workers, within=3)
    assert (await cluster.api.info(channel="a"))["connections"] == []
