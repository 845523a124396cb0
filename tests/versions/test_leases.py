"""Promise 7 between two versions: a worker that dies, stands still or leaves has records that only
nodes of the other version are left to remove."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.faults.support import all_ready, clients, goodbye, keys, shown
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.process import Process
from tests.support.redis_server import RedisServer
from tests.versions.conftest import ALIKE, LEASE, Mixed

GONE_WITHIN = LEASE + 8.0
"""The lease, two looks at the beats, and the removal of the records, on a busy machine."""

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("mixed", ALIKE, ids=str, indirect=True, scope="module"),
]

COMMANDS = ("/channel/subscribe/sport", "/channel/unsubscribe/sport", "/disconnect")


@pytest_asyncio.fixture(loop_scope="module")
async def other(mixed: Mixed) -> AsyncIterator[tuple[Cluster, Process]]:
    """The cluster, and a worker of the other version that the test may end: the third."""
    async with mixed.another_worker() as other:
        cluster = mixed.cluster
        address = await other.listening()
        yield replace(cluster, workers=[*cluster.workers, address]), other
        # Killed, it would be missed by the next test.
        with suppress(ProcessLookupError):
            other.signal(signal.SIGTERM)
        await other.ended()


async def worker_of(cluster: Cluster, user: str) -> str:
    """The id of the worker that this user is connected to."""
    [worker] = {one["worker"] for one in (await cluster.api.info(user=user))["connections"]}
    return str(worker)


async def test_a_killed_worker_is_unanswered_until_its_lease_ends_and_leaves_no_key(
    other: tuple[Cluster, Process], redis_session: RedisServer
) -> None:
    (cluster, doomed), redis = other, redis_session
    async with clients(cluster, 2, "safe", worker=1, channels="news") as safe:
        await eventually(lambda: not any("claim" in key for key in keys(redis)))
        before = keys(redis)
        async with clients(cluster, 3, "lost", worker=2, channels="news,own", session="s"):
            dead = await worker_of(cluster, "lost")
            assert (await cluster.api.send("0", channel="news")).report["connections"] == 5
            await doomed.kill()
            for path in COMMANDS:
                reply = await cluster.apis[1].call("POST", path, user="lost")
                assert (reply.status, reply.code) == (504, "WORKER_UNANSWERED")
            count = 0

            async def gone() -> bool:
                nonlocal count
                count += 1
                sent = await cluster.apis[count % 2].send(str(count), channel="news")
                assert (sent.status, sent.report["connections"]) == (200, 2)
                return sent.report["unanswered"] == 0

            await eventually(gone, GONE_WITHIN)
        await eventually(lambda: keys(redis) == {key for key in before if dead not in key})
        for path in COMMANDS:
            assert (await cluster.api.call("POST", path, user="lost")).status == 200
        told = [str(number) for number in range(count + 1)]
        for client in safe:
            assert [await client.recv() for _ in told] == told


async def test_who_was_logged_out_while_a_worker_stood_still_is_out(
    other: tuple[Cluster, Process],
) -> None:
    cluster, still = other
    async with cluster.client("u", worker=2, channels="news") as client:
        before = await worker_of(cluster, "u")
        still.stop()

        async def logged_out() -> bool:
            return (await cluster.api.disconnect(user="u")).status == 200

        assert not await logged_out()
        await eventually(logged_out, GONE_WITHIN)
        assert await shown(cluster, "u") == 0
        still.go_on()
        # A logout that it finds in its mailbox may be quicker than its own mark.
        assert await goodbye(client, within=8) in (1000, 1012)

    await eventually(lambda: all_ready(cluster))
    async with cluster.client("u", worker=2, channels="news") as again:
        assert await worker_of(cluster, "u") != before
        assert (await cluster.apis[1].send("again", channel="news")).report["connections"] == 1
        assert await again.recv() == "again"


async def test_a_worker_that_leaves_in_good_order_is_missed_by_nobody(
    other: tuple[Cluster, Process], redis_session: RedisServer
) -> None:
    (cluster, leaving), redis = other, redis_session
    async with (
        clients(cluster, 3, "u", worker=2, channels="news", session="s") as leavers,
        cluster.client("stays", worker=1, channels="news"),
    ):
        left = await worker_of(cluster, "u")
        assert (await cluster.api.send("0", channel="news")).report["connections"] == 4
        leaving.signal(signal.SIGTERM)
        statuses, count = set(), 0

        async def alone() -> bool:
            nonlocal count
            count += 1
            caller = cluster.apis[count % 2]
            reply = await caller.call("POST", "/channel/subscribe/sport", channel="news")
            statuses.add(reply.status)
            return reply.report == {"workers": 1, "connections": 1, "dropped": 0, "unanswered": 0}

        await eventually(alone)
        assert statuses == {200}
        assert [await goodbye(client, within=5) for client in leavers] == [1012] * 3
        assert await leaving.ended() == 0
        assert not any(left in key for key in keys(redis))
        assert await shown(cluster, "u") == 0
