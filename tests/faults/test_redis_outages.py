"""Promise 8 at full size: Redis is away for seconds, or stands still for half a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from dsock.backends.redis import mailbox
from dsock.backends.redis.membership import RedisMembership
from dsock.backends.redis.watch import Watch
from tests.faults.killable import cluster_of
from tests.faults.support import (
    Teller,
    all_ready,
    audience,
    cluster_at,
    keys,
    none_ready,
    ready,
    shown,
)
from tests.support.cluster import Cluster
from tests.support.eventually import eventually, holds_within
from tests.support.listener import Listener, by_jwt, listeners
from tests.support.redis_server import RedisServer

CROWD = 2000

AWAY, FROZEN = 5.0, 30.0
NOTICED = 5.0
DELIVERY_BACK, RECORDS_BACK = 2.0, 5.0

REPORT_TIMEOUT = 0.5
"""Seconds. One message whose answer is lost does not use up the time in which delivery is back."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class Outage:
    """A Redis that goes away and comes back empty, under a worker with a crowd in channel
    `news`."""

    def __init__(self, server: RedisServer, cluster: Cluster, crowd: list[Listener]) -> None:
        self._server, self._cluster, self._crowd = server, cluster, crowd
        self._taken: list[str] = []
        """What was said to have reached everybody."""
        self._told = 0

    async def check(self) -> tuple[float, float]:
        """See that all is as it must be; returns the seconds until messages arrived again,
        and until everything was recorded again."""
        await eventually(self._reaches_all)
        before = await self._ids(), keys(self._server)
        assert len(before[0]) == len(self._crowd)
        self._server.kill()
        assert not await holds_within(self._is_no_refusal, AWAY)
        self._server.start()
        loop = asyncio.get_running_loop()
        back = loop.time()
        await eventually(self._reaches_all, DELIVERY_BACK)
        delivered = loop.time() - back

        async def recorded() -> bool:
            there = await self._ids(), keys(self._server)
            return there == before and await all_ready(self._cluster)

        await eventually(recorded, RECORDS_BACK)
        recorded_after = loop.time() - back
        await eventually(lambda: all(one.messages[-1] == self._taken[-1] for one in self._crowd))
        for one in self._crowd:
            assert one.open
            assert one.messages == sorted(set(one.messages), key=int)
            assert set(self._taken) <= set(one.messages)
        return delivered, recorded_after

    async def _ids(self) -> set[str]:
        return {one["id"] for one in (await self._cluster.api.info(channel="news"))["connections"]}

    async def _reaches_all(self) -> bool:
        self._told += 1
        reply = await self._cluster.api.send(str(self._told), channel="news")
        if reply.status != 200 or reply.report["connections"] < len(self._crowd):
            return False
        self._taken.append(str(self._told))
        return True

    async def _is_no_refusal(self) -> bool:
        reply = await self._cluster.api.send("0", channel="news")
        return (reply.status, reply.json["success"]) != (503, False)


@pytest.mark.usefixtures("method")
async def test_b28_2000_clients_stay_when_redis_is_away_for_5_seconds_and_comes_back_empty(
    server: RedisServer,
) -> None:
    everyone = [by_jwt(f"user-{n}", "news", session=f"{n}") for n in range(CROWD)]
    async with (
        cluster_of(server, 1, worker_lease="10s", report_timeout="1s") as (cluster, _),
        listeners(cluster.workers[0], everyone) as crowd,
    ):
        delivered, recorded = await Outage(server, cluster, crowd).check()
        assert delivered < DELIVERY_BACK
        assert recorded < RECORDS_BACK


async def stand_still(server: RedisServer, cluster: Cluster, teller: Teller) -> None:
    """Let Redis stand still for half a minute, and see that all is as it must be."""
    loop = asyncio.get_running_loop()
    server.freeze()
    awake = loop.time() + FROZEN
    await eventually(lambda: none_ready(cluster), NOTICED)
    teller.answered.clear()

    async def is_no_refusal() -> bool:
        await teller.tell()
        return teller.statuses != {503} or any(await ready(cluster))

    assert not await holds_within(is_no_refusal, awake - loop.time())
    server.thaw()

    async def is_back() -> bool:
        return await teller.tell() and await all_ready(cluster)

    assert await holds_within(is_back, RECORDS_BACK)


async def no_probe(_: object) -> None: ...


@pytest.mark.parametrize("probes", [True, False])
async def test_b28_only_probes_find_in_time_that_redis_stands_still(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, probes: bool
) -> None:
    at = cluster_at(server.address, report_timeout=REPORT_TIMEOUT)
    async with at as cluster, audience(cluster) as crowd:
        teller = Teller(cluster, crowd)
        await eventually(teller.tell)
        if not probes:
            with monkeypatch.context() as patch:
                # Neither asked for, nor missed.
                patch.setattr(RedisMembership, "_tick", no_probe)
                patch.setattr(Watch, "look", no_probe)
                patch.setattr(mailbox, "DEAF_AFTER", 3600.0)
                with pytest.raises(AssertionError, match=f"not within {NOTICED} s"):
                    await stand_still(server, cluster, teller)
            server.thaw()
            return
        await stand_still(server, cluster, teller)
        await teller.check()
        assert await shown(cluster, "u") == len(crowd)
        assert all(client.close_code is None for client in crowd)
