"""Promise 7 for clients: who goes without a word is missed after a ping, not for ever."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.killable import cluster_of
from tests.faults.support import shown
from tests.faults.vanishing import vanished
from tests.support.eventually import eventually
from tests.support.listener import by_jwt, listeners
from tests.support.redis_server import RedisServer
from tests.support.wire import PING, PONG, frame, open_wire

INTERVAL, TIMEOUT = 2.0, 3.0
PINGS = {"ping_interval": f"{INTERVAL}s", "ping_timeout": f"{TIMEOUT}s"}

SLACK = 4.0
"""Seconds for a tick of the timer, the removal of the records, a look at `/info`, and a busy
machine."""


@pytest.mark.parametrize("told", [0, 20], ids=["idle", "in mid message"])
async def test_who_vanishes_without_a_fin_is_gone_within_ping_interval_and_timeout(
    redis: RedisServer, told: int
) -> None:
    async with (
        cluster_of(redis, 1, report_timeout="10s", **PINGS) as (cluster, _),
        listeners(cluster.workers[0], [by_jwt("stays", "news")]) as [stays],
    ):
        async with open_wire(cluster.workers[0], by_jwt("vanishes", "news")) as wire:
            assert (await cluster.api.send("0", channel="news")).report["connections"] == 2
            # One that came before it vanished would be the one that it is missed by.
            while (asked := await wire.frame()).opcode != PING:
                pass
            await wire.send(frame(PONG, asked.body))
            loop = asyncio.get_running_loop()
            with vanished(wire.sock.getsockname()[1]):
                gone_at = loop.time()
                wire.sock.close()
                for number in range(1, told + 1):
                    sent = await cluster.api.send(str(number), channel="news")
                    # It cannot be known yet: what is counted has been put into a buffer.
                    assert sent.report["connections"] == 2
                assert await shown(cluster, "vanishes") == 1

                async def missed() -> bool:
                    return not await shown(cluster, "vanishes")

                await eventually(missed, INTERVAL + TIMEOUT + SLACK)
                # No word of its end has come: it was missed.
                assert loop.time() - gone_at >= TIMEOUT
                after = await cluster.api.send("after", channel="news")
                assert (after.report["connections"], after.report["dropped"]) == (1, 0)
        # Who answers pings has been asked too.
        assert stays.open
        await eventually(lambda: len(stays.messages) == told + 2)
