"""Promise 8: a Redis that is emptied while it runs, so that no connection ends and says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect

from tests.faults.support import (
    EACH,
    Teller,
    all_ready,
    audience,
    cluster_at,
    goodbye,
    known_workers,
    of_method,
    shown,
)
from tests.support.eventually import eventually
from tests.support.process import process
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("method")

DELIVERY_BACK, RECORDS_BACK = 2.0, 5.0

MISSED_WITHIN, GONE_WITHIN, CLOSED_WITHIN = 8.0, 15.0, 10.0
"""Seconds: more than is promised, as a logout that fails takes two by itself."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def test_a_redis_that_is_emptied_while_it_runs_has_all_of_it_back(
    server: RedisServer,
) -> None:
    async with cluster_at(server.address) as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        server.empty()
        await eventually(teller.tell, DELIVERY_BACK)

        async def recorded() -> bool:
            return await shown(cluster, "u") == 2 * EACH and await all_ready(cluster)

        await eventually(recorded, RECORDS_BACK)
        await teller.check()


async def test_who_stands_still_while_redis_is_emptied_is_missed_all_the_same(
    server: RedisServer,
) -> None:
    lease = {"worker_lease": "3s", "redis_host": server.address}
    async with (
        cluster_at(server.address, worker_lease=3.0) as cluster,
        process("worker", **of_method(), **lease) as still,
    ):
        claim = await cluster.api.claim("lost")
        url = f"ws://{await still.listening()}/connect?claim={claim}"
        async with connect(url, ping_interval=None) as client:
            await eventually(lambda: len(known_workers(cluster)) == 3)
            still.stop()
            server.empty()

            async def is_missed() -> bool:
                return (await cluster.api.disconnect(user="lost")).status == 504

            await eventually(is_missed, MISSED_WITHIN)
            await eventually(lambda: len(known_workers(cluster)) == 2, GONE_WITHIN)
            still.go_on()
            assert await goodbye(client, CLOSED_WITHIN) == 1012
