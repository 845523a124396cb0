"""Telling clients and refreshing their records, whatever else is going on."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
import pytest
import redis.asyncio
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from dsock.backends.redis import scripts
from dsock.backends.redis.pipe import Call, Pipe
from dsock.command import MessageType, Send
from dsock.target import ToUser
from dsock.wire.codec import Letter, encode
from dsock.worker import turns
from tests.support.cluster import JWT_SECRET, Cluster, redis_cluster
from tests.support.crowd import Crowd
from tests.support.eventually import eventually, holds_within
from tests.support.process import process
from tests.support.redis_server import RedisServer

SENDS, VISITORS = 250, 60
CONNECTIONS = 50
TOKEN_OF_USER = jwt.encode({"sub": "user", "exp": 2**32}, JWT_SECRET)

STANDSTILL = 4.0
"""Seconds for which a worker that refreshes every second misses its refreshes."""


async def unreadable(cluster: Cluster) -> float:
    """How many payloads the workers have found unreadable."""
    count = 0.0
    for address in cluster.workers:
        text = (await cluster.api.http.get(f"http://{address}/metrics")).text
        [line] = [one for one in text.splitlines() if one.startswith("dsock_unreadable_payloads_t")]
        count += float(line.split(" ")[1])
    return count


async def test_b30_nonsense_in_a_mailbox_is_counted_and_harms_nobody(redis: RedisServer) -> None:
    message = encode(Letter(Send(ToUser("user"), MessageType.TEXT, b"x" * 40)))
    chance = random.Random(30)
    nonsense = [b"", *(message[:size] for size in range(40))]
    nonsense += [b"\xff" + chance.randbytes(size) for size in range(40)]
    async with redis_cluster(redis) as cluster, cluster.client("user", worker=1) as client:
        (one,) = (await cluster.api.info(user="user"))["connections"]
        mailboxes = [one["worker"], f"{one['worker']}:channel"]
        with redis.client() as publisher:
            for payload in nonsense:
                for mailbox in mailboxes:
                    assert publisher.publish(mailbox, payload) == 1

        async def all_counted() -> bool:
            return await unreadable(cluster) == len(nonsense) * len(mailboxes)

        await eventually(all_counted)
        assert (await cluster.api.send("sense", user="user")).report["connections"] == 1
        assert await client.recv() == "sense"


@pytest.mark.usefixtures("fast_beats")
@pytest.mark.parametrize("options", [{"ttl_duration": 0.05}])
async def test_b33_b36_who_stays_gets_each_message_once_whoever_comes_and_goes(
    cluster: Cluster, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A message goes to one after the other, and people leave in between.
    monkeypatch.setattr(turns, "SLICE", 0.0)
    monkeypatch.setattr(turns, "CHUNK", 1)
    early = [await crowd.join("user", n % 2, channels="news") for n in range(VISITORS)]
    staying = [await crowd.join("user", n % 2, channels="news") for n in range(6)]

    visits = 0

    async def come_and_go(worker: int) -> None:
        nonlocal visits
        while True:
            # Those who were there first leave first: the others move up.
            visitor = early.pop(0) if early else await crowd.join("user", worker, channels="news")
            await cluster.apis[worker].subscribe("sport", user="user")
            await cluster.apis[worker].unsubscribe("sport", user="user")
            await visitor.leave()
            visits += 1

    with capture_logs() as log:
        visitors = [asyncio.create_task(come_and_go(n % 2)) for n in range(4)]
        for n in range(SENDS):
            target = {"channel": "news"} if n % 2 else {"user": "user"}
            sent = await cluster.apis[n // 2 % 2].send(str(n), **target)
            assert sent.report["connections"] >= len(staying)
        for visitor in visitors:
            visitor.cancel()
        ends = await asyncio.gather(*visitors, return_exceptions=True)
    assert visits > SENDS / 10
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    for client in staying:
        assert await client.take(SENDS) == [str(n) for n in range(SENDS)]
    assert [line for line in log if line["log_level"] in ("error", "critical")] == []


async def test_b43_all_records_that_are_due_are_refreshed_in_one_round_trip(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[int] = []
    exchange = Pipe._exchange

    async def counted(pipe: Pipe, batch: list[Call]) -> list[Call]:
        records = [call for call in batch if call.command[1] == scripts.RECORD]
        trips.append(sum(str(call.command[3]).startswith("conn:") for call in records))
        return await exchange(pipe, batch)

    async with redis_cluster(redis, ttl_duration=1.0) as cluster:
        tokens = [
            jwt.encode({"sub": f"u{n}", "exp": 2**32}, JWT_SECRET) for n in range(CONNECTIONS)
        ]
        clients = [await connect(cluster.url(f"?jwt={token}")) for token in tokens]
        monkeypatch.setattr(Pipe, "_exchange", counted)
        await eventually(lambda: sum(trips) >= 2 * CONNECTIONS)
        assert {count for count in trips if count} == {CONNECTIONS}
        await asyncio.gather(*(client.close() for client in clients))


@asynccontextmanager
async def writes_to(server: RedisServer, pattern: str) -> AsyncIterator[list[str]]:
    """The keys of this pattern of which a hash field is set inside this context."""
    written: list[str] = []
    async with redis.asyncio.Redis(port=server.port, decode_responses=True) as client:
        await client.config_set("notify-keyspace-events", "Kh")
        async with client.pubsub() as events:
            await events.psubscribe(f"__keyspace@0__:{pattern}")

            async def note() -> None:
                async for event in events.listen():
                    if event["data"] == "hset":
                        written.append(event["channel"])

            noting = asyncio.create_task(note())
            try:
                yield written
            finally:
                noting.cancel()
                await client.config_set("notify-keyspace-events", "")


async def test_b44_a_worker_makes_up_for_no_refresh_that_it_missed(redis: RedisServer) -> None:
    options = {"redis_host": redis.address, "ttl_duration": "1s", "worker_lease": "60s"}
    async with process("worker", **options) as worker, writes_to(redis, "conn:*") as written:
        url = f"ws://{await worker.listening()}/connect?jwt={TOKEN_OF_USER}"
        async with connect(url):
            # The first is that it came.
            await eventually(lambda: len(written) >= 2)
            worker.stop()
            before = len(written)
            assert not await holds_within(lambda: len(written) > before + 1, STANDSTILL)
            before, began = len(written), time.monotonic()
            worker.go_on()
            await eventually(lambda: len(written) > before)
            # It writes all anew, and refreshes what is due since, once a second.
            await holds_within(lambda: len(written) > before + 3, 0.7)
            assert len(written) - before <= 2 + (time.monotonic() - began)
