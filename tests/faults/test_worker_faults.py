"""Promise 7: a worker may die, stand still or go deaf; nothing leaks, nobody is misled."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import ClientConnection

from dsock.backends.redis.reaper import Reaper
from tests.faults.killable import LEASE, cluster_of, settled_keys
from tests.faults.support import (
    all_ready,
    clients,
    cluster_at,
    goodbye,
    keys,
    known_workers,
    of_method,
    shown,
)
from tests.support.cluster import node_up
from tests.support.eventually import eventually, holds_within
from tests.support.process import processes
from tests.support.redis_server import RedisServer
from tests.support.wire import dial, handshake

pytestmark = pytest.mark.usefixtures("method")

GONE_WITHIN = LEASE + 8.0
"""The lease, and the looks and beats that come on top of it on a busy machine."""


@pytest.fixture(params=["restarted", "long up"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """While Redis is fresh every worker is told everything, later those of a route."""
    if request.param == "long up":
        yield request.getfixturevalue("redis")
        return
    with RedisServer() as server:
        yield server


async def test_b69_b74_a_killed_worker_counts_as_unanswered_until_its_lease_ends(
    server: RedisServer,
) -> None:
    lease = 6.0
    options = {"worker_lease": f"{lease}s", "report_timeout": "3s"}
    async with (
        cluster_of(server, 2, **options) as (cluster, (doomed, _)),
        clients(cluster, 3, "lost", worker=0, channels="news"),
        clients(cluster, 2, "safe", worker=1, channels="news") as safe,
    ):
        await doomed.kill()
        # Side by side: one after the other they may be waited for longer than the lease lasts.
        sent, *replies = await asyncio.gather(
            cluster.api.send("0", channel="news"),
            cluster.api.subscribe("sport", user="lost"),
            cluster.api.unsubscribe("sport", user="lost"),
            cluster.api.disconnect(user="lost"),
        )
        assert (sent.status, sent.report["unanswered"], sent.report["connections"]) == (200, 1, 2)
        for reply in replies:
            assert (reply.status, reply.code) == (504, "WORKER_UNANSWERED")
            assert reply.json["success"] is False
            assert reply.report["unanswered"] == 1

        count = 0

        async def gone() -> bool:
            nonlocal count
            count += 1
            sent = await cluster.api.send(str(count), channel="news")
            assert (sent.status, sent.report["connections"]) == (200, 2)
            return sent.report["unanswered"] == 0

        await eventually(gone, lease + 8)
        assert (await cluster.api.disconnect(user="lost")).status == 200
        for client in safe:
            assert [await client.recv() for _ in range(count + 1)] == [
                str(number) for number in range(count + 1)
            ]


async def test_b25_a_killed_worker_leaves_no_key(server: RedisServer) -> None:
    async with (
        cluster_of(server, 1) as (cluster, _),
        clients(cluster, 2, "safe", channels="news", session="a"),
    ):
        await eventually(lambda: settled_keys(server))
        before = keys(server)
        given = {"redis_host": server.address, "worker_lease": f"{LEASE}s", **of_method()}
        async with processes(1, "worker", **given) as started:
            cluster.workers.append(await started[0].listening())
            async with clients(cluster, 3, "lost", worker=1, channels="news,sport", session="b"):
                assert keys(server) > before
                await started[0].kill()
                await eventually(lambda: keys(server) == before, GONE_WITHIN)
        assert await shown(cluster, "lost") == 0
        assert await shown(cluster, "safe") == 2


async def test_a_worker_killed_while_it_announces_itself_leaves_no_key() -> None:
    with RedisServer() as server:
        async with (
            # Nobody lives on who could lose a short one.
            cluster_of(server, 1, worker_lease="2s") as (cluster, (doomed,)),
            clients(cluster, 2, "lost", channels="news"),
        ):
            await eventually(lambda: settled_keys(server) and len(known_workers(cluster)) == 1)
            with server.client() as redis:
                # All that an announcement writes, but for its end.
                redis.execute_command("ACL", "SETUSER", "default", "-smembers")
                redis.flushall()
                await eventually(lambda: any(key.startswith("conn:") for key in keys(server)))
                await doomed.kill()
                redis.execute_command("ACL", "SETUSER", "default", "+smembers")
            await eventually(lambda: keys(server) == set(), GONE_WITHIN)


async def test_who_was_logged_out_while_a_worker_stood_still_is_out(redis: RedisServer) -> None:
    async with (
        cluster_of(redis, 1) as (cluster, (still,)),
        cluster.client("u", channels="news") as client,
    ):
        [before] = (await cluster.api.info(user="u"))["connections"]
        still.stop()

        async def gone() -> bool:
            return not await shown(cluster, "u")

        await eventually(gone, GONE_WITHIN)
        # It answers as soon as it can: nobody holds a connection of this user any more.
        assert (await cluster.api.disconnect(user="u")).status == 200
        still.go_on()
        assert await goodbye(client, within=10) == 1012
        await eventually(lambda: all_ready(cluster))
        async with cluster.client("u", channels="news") as again:
            [after] = (await cluster.api.info(user="u"))["connections"]
            assert after["worker"] != before["worker"]
            assert (await cluster.api.send("again", channel="news")).report["connections"] == 1
            assert await again.recv() == "again"
        await eventually(lambda: keys(redis) == {"workers", f"worker:{after['worker']}"})


async def test_who_was_logged_out_is_out_even_if_redis_forgot_the_worker_meanwhile() -> None:
    with RedisServer() as server:
        async with (
            cluster_of(server, 1) as (cluster, (still,)),
            cluster.client("u") as client,
        ):
            await eventually(lambda: len(known_workers(cluster)) == 1)
            still.stop()
            server.kill()
            server.start()

            async def logged_out() -> bool:
                reply = await cluster.api.disconnect(user="u")
                answers.append(reply.status)
                return reply.status == 200

            answers: list[int] = []
            await eventually(logged_out, 2 * GONE_WITHIN)
            assert 504 in answers
            still.go_on()
            assert await goodbye(client, within=8) == 1012


async def test_b44_a_worker_that_stood_still_for_less_than_its_lease_goes_on(
    redis: RedisServer, method: str
) -> None:
    async with (
        cluster_of(redis, 1, worker_lease="10s", report_timeout="1s") as (cluster, (still,)),
        cluster.client("u") as client,
    ):
        worker = (await cluster.api.info(user="u"))["connections"][0]["worker"]
        still.stop()
        # By the time this is answered it has stood still for as long as an API waits.
        assert (await cluster.api.send("late", user="u")).report["unanswered"] == 1
        still.go_on()
        if method == "redis":
            assert await client.recv() == "late"
        # With direct messaging the API has hung up: what it gave up is not carried out.
        await eventually(lambda: all_ready(cluster))
        assert (await cluster.api.send("next", user="u")).report["connections"] == 1
        assert await client.recv() == "next"
        assert (await cluster.api.info(user="u"))["connections"][0]["worker"] == worker
        async with cluster.client("u"):
            assert await shown(cluster, "u") == 2


async def test_b23_b41_b42_a_worker_that_is_told_to_stop_closes_its_clients_bit_by_bit(
    redis: RedisServer,
) -> None:
    async with (
        cluster_of(redis, 1, drain_duration="5s") as (cluster, (leaving,)),
        clients(cluster, 10, "u", channels="news", session="s") as leavers,
    ):
        loop = asyncio.get_running_loop()
        leaving.signal(signal.SIGTERM)

        async def closed_at(client: ClientConnection) -> float:
            assert await goodbye(client, within=20) == 1012
            return loop.time()

        times = sorted(await asyncio.gather(*map(closed_at, leavers)))
        assert times[-1] - times[0] > 2
        assert await leaving.ended() == 0
        assert keys(redis) == set()


async def test_a_worker_that_has_stopped_is_not_missed_even_while_redis_is_fresh() -> None:
    with RedisServer() as server:
        options = {"worker_lease": "10s", "drain_duration": "0s"}
        async with (
            cluster_of(server, 2, **options) as (cluster, (leaving, _)),
            cluster.client("u", 1),
        ):
            await eventually(lambda: len(known_workers(cluster)) == 2)
            leaving.signal(signal.SIGTERM)
            assert await leaving.ended() == 0
            await eventually(lambda: len(known_workers(cluster)) == 1, 3)
            reply = await cluster.api.disconnect(user="u")
            assert (reply.status, reply.report["connections"]) == (200, 1)


async def test_a_worker_confirms_what_comes_while_it_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    removes, may_remove = asyncio.Event(), asyncio.Event()
    remove = Reaper.remove

    async def held(reaper: Reaper, worker: str) -> None:
        removes.set()
        await may_remove.wait()
        await remove(reaper, worker)

    with RedisServer() as server:
        options = {"redis_host": server.address, **of_method()}
        async with cluster_at(server.address) as cluster, cluster.client("u"):
            leaver = AsyncExitStack()
            await leaver.enter_async_context(node_up("worker", **options))
            await eventually(lambda: len(known_workers(cluster)) == 3)
            with monkeypatch.context() as patch:
                patch.setattr(Reaper, "remove", held)
                leaving = asyncio.create_task(leaver.aclose())
                await removes.wait()
            # While Redis is fresh every worker is told.
            asked = asyncio.create_task(cluster.api.disconnect(user="u"))
            assert not await holds_within(asked.done, 0.2)
            may_remove.set()
            reply = await asked
            assert (reply.status, reply.report["connections"]) == (200, 1)
            await leaving


async def test_a_second_signal_ends_a_worker_at_once(redis: RedisServer) -> None:
    async with (
        cluster_of(redis, 1, drain_duration="60s") as (cluster, (leaving,)),
        clients(cluster, 2, "u"),
    ):
        leaving.signal(signal.SIGTERM)
        await eventually(lambda: any("draining" in line for line in leaving.log))
        leaving.signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await leaving.ended() == 128 + signal.SIGTERM


@pytest.mark.parametrize("fault", ["frozen", "killed"])
async def test_b40_a_worker_can_stop_while_redis_is_out_of_reach(fault: str) -> None:
    with RedisServer() as server:
        async with (
            cluster_of(server, 1, drain_duration="100ms") as (cluster, (leaving,)),
            cluster.client("u") as client,
        ):
            if fault == "frozen":
                server.freeze()
            else:
                server.kill()
            leaving.signal(signal.SIGTERM)
            assert await goodbye(client, within=8) == 1012
            async with asyncio.timeout(8):
                assert await leaving.ended() == 0


async def test_who_knocks_while_a_worker_stands_still_is_reachable_or_stays_out(
    redis: RedisServer,
) -> None:
    async with (
        # So short that it ends before the worker counts as deaf.
        cluster_of(redis, 1, worker_lease="2s") as (cluster, (still,)),
        cluster.client("u"),
    ):
        claim = await cluster.api.claim("v")
        still.stop()
        async with dial(cluster.workers[0]) as wire:
            await wire.send(handshake(f"/connect?claim={claim}"))

            async def gone() -> bool:
                return not await shown(cluster, "u")

            await eventually(gone)
            still.go_on()
            status = (await wire.response()).status
            sent = await cluster.api.send("x", user="v")
            assert (status, sent.report["connections"]) in ((101, 1), (503, 0))


async def test_b28_a_worker_whose_subscription_ends_is_back_by_itself(server: RedisServer) -> None:
    async with (
        # What is lost with the subscription of the API is not waited for too long.
        cluster_of(server, 1, report_timeout="300ms") as (cluster, _),
        cluster.client("u") as client,
    ):
        with server.client() as redis:
            assert redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub") >= 1
        confirmed: list[str] = []
        count = 0

        async def delivered() -> bool:
            nonlocal count
            count += 1
            reply = await cluster.api.send(str(count), user="u")
            if reply.status == 200 and reply.report["connections"]:
                confirmed.append(str(count))
            return len(confirmed) == 3

        await eventually(delivered, 3)
        received: list[str] = []
        while confirmed[-1] not in received:
            received.append(str(await client.recv()))
        assert received == sorted(set(received), key=int)
        assert set(confirmed) <= set(received)
        await eventually(lambda: all_ready(cluster), 3)
