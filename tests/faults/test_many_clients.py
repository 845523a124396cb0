"""Promise 7 at full size: a worker with thousands of clients is killed, or told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from statistics import median

import pytest

from tests.faults.killable import cluster_of
from tests.faults.support import keys
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.listener import Listener, by_jwt, listen, listeners
from tests.support.redis_server import RedisServer
from tests.support.wire import Wire, open_wire

PATIENT = {"report_timeout": "10s"}
"""Even on a slow machine whoever is there answers within that."""

LOST, SAFE = 1000, 20

LEASE = 5.0

LOOK, REMOVAL = 1.0, 10.0
"""Seconds between two looks at beats; in which records are removed on a busy machine."""

GONE_WITHIN = LEASE + 2 * LOOK + REMOVAL

DRAINED = 5000
DRAIN = 10.0

LATE, LATEST = 2.0, 4.0
"""Seconds by which half of the clients are closed late at most, and by which anybody is: who is
held up makes up for it."""

REFUSED_WITHIN = 4.0
"""Seconds from the signal to the first client that is sent elsewhere."""

ENDS_WITHIN = 4.0
"""Seconds from the last goodbye to the end of the process."""


def age_of_beat(server: RedisServer, worker: str) -> float:
    """How many seconds ago a worker has beaten, by the clock of Redis."""
    with server.client() as client:
        seconds, micros = client.time()
        return float(seconds + micros / 1e6 - client.zscore("workers", worker))


@pytest.mark.usefixtures("method")
async def test_who_is_with_another_worker_misses_nothing_when_one_of_1000_is_killed(
    redis: RedisServer,
) -> None:
    lost = [by_jwt(f"lost-{n}", "news", f"own-{n}", session="s") for n in range(LOST)]
    safe = [by_jwt("safe", "news")] * SAFE
    async with (
        cluster_of(redis, 2, worker_lease=f"{LEASE}s", **PATIENT) as (cluster, (doomed, _)),
        listeners(cluster.workers[1], safe) as audience,
    ):
        # Before anybody else came: all that may be left.
        worker = (await cluster.api.info(user="safe"))["connections"][0]["worker"]
        others = {f"worker:{worker}", f"worker-records:{worker}"}
        async with listeners(cluster.workers[0], lost):
            [dead] = (await cluster.api.info(user="lost-0"))["connections"]
            sent = await cluster.api.send("0", channel="news")
            assert sent.report["connections"] == LOST + SAFE
            assert len(keys(redis)) > 4 * LOST
            await doomed.kill()
            loop = asyncio.get_running_loop()
            killed, age = loop.time(), age_of_beat(redis, dead["worker"])
            reports = [sent.report]
            while reports[-1]["unanswered"] or len(reports) == 1:
                sent = await cluster.api.send(str(len(reports)), channel="news")
                assert (sent.status, sent.report["connections"]) == (200, SAFE)
                reports.append(sent.report)
                assert loop.time() - killed < GONE_WITHIN
            assert loop.time() - killed > LEASE - age - 0.2
        assert {report["unanswered"] for report in reports[1:-1]} == {1}
        assert reports[-1] == {"workers": 1, "connections": SAFE, "dropped": 0, "unanswered": 0}

        def cleared() -> bool:
            left = {key for key in keys(redis) if not key.startswith("conn:")} - others
            return left == {
                "workers",
                *("user:safe", "user-workers:safe"),
                *("channel:news", "channel-workers:news"),
            }

        await eventually(cleared, REMOVAL)
        assert len([key for key in keys(redis) if key.startswith("conn:")]) == SAFE
        with redis.client() as client:
            assert client.smembers("channel-workers:news") == {worker}
            assert client.scard("channel:news") == SAFE
        told = [str(number) for number in range(len(reports))]
        await eventually(lambda: all(len(one.messages) >= len(told) for one in audience))
        assert all(one.messages == told for one in audience)


@asynccontextmanager
async def stalled(cluster: Cluster) -> AsyncIterator[Wire]:
    """A client that has never read anything, and for whom much more waits than the systems
    on both sides take in."""
    query = by_jwt("stalled", "news")
    async with open_wire(cluster.workers[0], query, 4096) as wire:
        for _ in range(16):
            sent = await cluster.api.send("x" * 2**20, user="stalled")
            assert sent.report["connections"] == 1
        yield wire


async def knock(cluster: Cluster, until: asyncio.Future[int]) -> list[tuple[float, Listener]]:
    """Connect again and again until nobody listens: when that was answered, and how."""
    loop = asyncio.get_running_loop()
    attempts = []
    while not until.done():
        with suppress(OSError):
            attempt = await listen(cluster.workers[0], by_jwt("late", "news"))
            # Without an answer it has come too late even for a refusal.
            attempts += [(loop.time(), attempt)] if attempt.status else []
        await asyncio.wait((until,), timeout=0.1)
    return attempts


async def test_one_of_5000_that_is_told_to_stop_closes_them_evenly_and_ends_in_time(
    redis: RedisServer,
) -> None:
    queries = [by_jwt(f"user-{n % 500}", "news", session=f"{n}") for n in range(DRAINED - 1)]
    options = {"drain_duration": f"{DRAIN}s", "send_buffer_limit": "64MiB", "send_timeout": "60s"}
    options["worker_lease"] = "30s"
    async with (
        cluster_of(redis, 1, **options, **PATIENT) as (cluster, (leaving,)),
        listeners(cluster.workers[0], queries) as crowd,
        stalled(cluster),
    ):
        assert (await cluster.api.send("hi", channel="news")).report["connections"] == DRAINED
        loop = asyncio.get_running_loop()
        started = loop.time()
        leaving.signal(signal.SIGTERM)
        ended = asyncio.create_task(leaving.ended())
        attempts = await knock(cluster, ended)
        took = loop.time() - started
        assert await ended == 0
        assert keys(redis) == set()
    # The stalled one may be the last who is told, and is cut off a second later.
    assert 0.9 * DRAIN < took < DRAIN + ENDS_WITHIN
    refused = [(when, one) for when, one in attempts if one.status != 101]
    assert refused[0][0] - started < REFUSED_WITHIN
    assert {one.error for _, one in refused} == {"SHUTTING_DOWN"}
    assert attempts[-len(refused) :] == refused
    let_in = [one for _, one in attempts if one.status == 101]
    assert {(one.code, *one.messages) for one in crowd} == {(1012, "hi")}
    assert {one.code for one in let_in} <= {1012}
    closed = sorted(one.ended.result() - started for one in crowd)
    late = [when - place * DRAIN / len(crowd) for place, when in enumerate(closed, 1)]
    assert min(late) > -0.1
    assert median(late) < LATE
    assert max(late) < LATEST
