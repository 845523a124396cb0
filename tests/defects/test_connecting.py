"""Being let in, and being pinged from then on."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from dsock.settings import Settings
from tests.faults.proxy import proxy_to
from tests.faults.support import shown
from tests.support.cluster import Cluster
from tests.support.eventually import eventually, holds_within
from tests.support.wire import PING, PONG, frame, open_wire

INTERVAL = 1.0
SHORT, LONGER = 0.4, 2.0
SETTINGS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_b12_headers_are_waited_for_ten_seconds_at_most(node: Cluster) -> None:
    assert node.nodes[0].rules().header_timeout <= 10


async def last_ping(cluster: Cluster) -> int:
    (one,) = (await cluster.api.info(user="user"))["connections"]
    moment: int = one["lastPing"]
    return moment


@pytest.mark.parametrize("options", [{"ping_interval": INTERVAL}])
async def test_b13_b15_pings_come_as_often_as_is_said_and_move_the_last_ping(
    cluster: Cluster,
) -> None:
    loop = asyncio.get_running_loop()
    claim = await cluster.api.claim("user")
    async with open_wire(cluster.workers[1], f"claim={claim}") as wire:
        first, moments = await last_ping(cluster), []
        for _ in range(4):
            assert await wire.frame() == (PING, b"")
            moments.append(loop.time())
            await wire.send(frame(PONG))
        gaps = [after - before for before, after in pairwise(moments)]
        # A busy machine makes them longer, never shorter.
        assert min(gaps) == pytest.approx(INTERVAL, rel=0.15)

        async def has_moved() -> bool:
            return await last_ping(cluster) >= first + 2 * INTERVAL

        await eventually(has_moved, within=5)


def test_b15_the_documented_interval_is_the_default() -> None:
    (row,) = (
        line for line in SETTINGS.read_text().splitlines() if line.startswith("| `ping_interval`")
    )
    assert f"| {Settings().ping_interval:g}s |" in row


@pytest.mark.parametrize("options", [{"ping_interval": SHORT, "ping_timeout": LONGER}])
async def test_b14_a_client_whose_packets_get_lost_is_gone_in_time(cluster: Cluster) -> None:
    async def gone() -> bool:
        return not await shown(cluster, "user")

    claim = await cluster.api.claim("user")
    async with proxy_to(int(cluster.workers[1].rpartition(":")[2])) as proxy:
        url = f"ws://{proxy.address}/connect?claim={claim}"
        async with connect(url, ping_interval=None, close_timeout=0.1):
            # As long as it can answer it stays.
            assert not await holds_within(gone, LONGER + 2 * SHORT)
            assert proxy.hush() == 1
            await eventually(gone)


@pytest.mark.parametrize("start", range(8))
async def test_b29_the_first_client_of_a_fresh_worker_is_reachable(
    cluster: Cluster, start: int
) -> None:
    for worker in (0, 1):
        user = f"user-{start}-{worker}"
        async with cluster.client(user, worker, api=start % 2) as client:
            sent = await cluster.apis[1 - start % 2].send("welcome", user=user)
            assert sent.report["connections"] == 1
            assert await client.recv() == "welcome"
