"""Clocks are minutes apart: how long something lasts is decided by one of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.faults.support import of_method, shown
from tests.support.clocks import with_clock
from tests.support.cluster import JWT_SECRET, Caller, Cluster
from tests.support.eventually import eventually, holds_within
from tests.support.process import Process, process
from tests.support.redis_server import RedisServer

APART = 300
"""Seconds between any two of the clocks."""

# Of an API and a worker; that of Redis is right: the middle one, the last, the first.
pytestmark = pytest.mark.parametrize(
    ("api", "worker"), [(-APART, APART), (-APART, -2 * APART), (APART, 2 * APART)]
)

LEASE = 4.0
GONE_WITHIN = LEASE + 8.0
"""The lease, and the looks and beats that come on top of it."""

LIFE, FAR, LEEWAY = 5, 60, 10
"""Seconds: of two claims, and what JWTs have on top."""

CLOSE = 2.5
"""Seconds that a busy machine may take."""


@asynccontextmanager
async def apart(
    server: RedisServer, api: int, worker: int
) -> AsyncIterator[tuple[Cluster, Process]]:
    """An API and a worker whose clocks are so many seconds off."""
    given = {"redis_host": server.address, "worker_lease": f"{LEASE}s", **of_method()}
    async with (
        process("api", command=with_clock(api), report_timeout="10s", **given) as caller_of,
        process("worker", command=with_clock(worker), **given) as connected_to,
    ):
        caller = Caller(f"http://{await caller_of.listening()}")
        async with caller.http:
            yield Cluster("redis", [caller], [await connected_to.listening()], []), connected_to


async def answer(cluster: Cluster, credential: str) -> int:
    """The status with which a client is answered: 101 lets it in."""
    try:
        async with connect(cluster.url(f"?{credential}")):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_a_claim_lives_as_long_as_it_says(redis: RedisServer, api: int, worker: int) -> None:
    async with apart(redis, api, worker) as (cluster, _):
        now = time.time() + api
        kept = await cluster.api.call("POST", "/claim", user="u", duration=LIFE)
        # By the clock of the API, in whole seconds.
        assert now + LIFE - 1 <= kept.json["claim"]["expiration"] <= now + LIFE + CLOSE
        with redis.client() as client:
            key = f"claim:{kept.json['claim']['id']}"
            left = client.pttl(key)
            assert (LIFE - CLOSE) * 1000 < left <= LIFE * 1000
            lived = await eventually(lambda: not client.exists(key), LIFE + CLOSE)
        assert lived > left / 1000 - CLOSE
        assert await answer(cluster, f"claim={kept.json['claim']['id']}") == 401
        fresh = await cluster.api.claim("u", duration=LIFE)
        assert await answer(cluster, f"claim={fresh}") == 101


async def test_the_end_of_a_claim_is_read_by_the_clock_of_the_api(
    redis: RedisServer, api: int, worker: int
) -> None:
    async with apart(redis, api, worker) as (cluster, _):
        end = int(time.time()) + api + FAR
        kept = await cluster.api.call("POST", "/claim", user="u", expiration=end)
        with redis.client() as client:
            left = client.pttl(f"claim:{kept.json['claim']['id']}")
        assert (FAR - 1 - CLOSE) * 1000 < left <= FAR * 1000
        [claim] = (await cluster.api.info(user="u"))["claims"]
        assert claim["expiration"] == kept.json["claim"]["expiration"] == end
        past = await cluster.api.call("POST", "/claim", user="u", expiration=end - 2 * FAR)
        assert (past.status, past.code) == (400, "INVALID_EXPIRATION")
        assert await answer(cluster, f"claim={kept.json['claim']['id']}") == 101


async def test_a_jwt_ends_by_the_clock_of_the_worker(
    redis: RedisServer, api: int, worker: int
) -> None:
    async with apart(redis, api, worker) as (cluster, _):

        async def admitted(**dates: int) -> bool:
            now = int(time.time()) + worker
            moved: dict[str, Any] = {name: now + value for name, value in dates.items()}
            token = jwt.encode({"sub": "u", **moved}, JWT_SECRET)
            return await answer(cluster, f"jwt={token}") == 101

        assert await admitted(exp=60)
        assert await admitted(exp=-LEEWAY // 2)
        assert not await admitted(exp=-2 * LEEWAY)
        assert await admitted(iat=-60 + LEEWAY)
        assert not await admitted(iat=-60 - 2 * LEEWAY)


async def test_a_worker_is_alive_as_long_as_it_beats(
    redis: RedisServer, api: int, worker: int
) -> None:
    async with (
        apart(redis, api, worker) as (cluster, beating),
        cluster.client("u", channels="news") as client,
    ):

        async def is_missed() -> bool:
            sent = await cluster.api.send("x", channel="news")
            assert await client.recv() == "x"
            return (sent.report["connections"], sent.report["unanswered"]) != (1, 0)

        assert not await holds_within(is_missed, 2 * LEASE)
        assert await shown(cluster, "u") == 1
        await beating.kill()

        async def is_gone() -> bool:
            return await shown(cluster, "u") == 0

        assert await eventually(is_gone, GONE_WITHIN) > LEASE - CLOSE
