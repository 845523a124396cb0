"""What is in Redis under the documented names while claims are made and clients come and go.

Others read it there: a Go API, and whoever looks with `redis-cli`. So the names stand here as
they are written, and not as our code makes them.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from redis import Redis
from redis.client import PubSub

from tests.faults.support import keys
from tests.support.cluster import Cluster, redis_cluster
from tests.support.crowd import Crowd, crowd_at
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

CLAIM_SETS = [
    "claim-user:u",
    "claim-user-session:u-s",
    "claim-channel:news",
    "claim-channel:sport",
]


@pytest.fixture
async def cluster(redis: RedisServer) -> AsyncIterator[Cluster]:
    async with redis_cluster(redis, default_channels=("all",)) as cluster:
        yield cluster


@pytest.fixture
async def crowd(cluster: Cluster) -> AsyncIterator[Crowd]:
    async with crowd_at(cluster) as crowd:
        yield crowd


def members(redis: RedisServer, *sets: str) -> list[set[str]]:
    with redis.client() as client:
        return [client.smembers(key) for key in sets]


async def test_a_claim_is_a_hash_and_its_id_is_in_the_sets_of_all_it_names(
    cluster: Cluster, redis: RedisServer
) -> None:
    id = await cluster.api.claim("u", session="s", channels="news,sport", duration=100)
    with redis.client() as client:
        fields = client.hgetall(f"claim:{id}")
        assert fields.keys() == {"user", "session", "channels", "expiration"}
        assert (fields["user"], fields["session"]) == ("u", "s")
        assert fields["channels"] == "news,sport"
        assert 90 < client.ttl(f"claim:{id}") <= 100
    assert members(redis, *CLAIM_SETS) == [{id}] * 4


async def test_a_claim_without_session_and_channels_is_in_the_set_of_its_user_alone(
    cluster: Cluster, redis: RedisServer
) -> None:
    id = await cluster.api.claim("u")
    assert {key for key in keys(redis) if key.startswith("claim")} == {
        f"claim:{id}",
        "claim-user:u",
    }


async def test_a_claim_that_was_used_leaves_its_sets_and_the_others_stay(
    cluster: Cluster, crowd: Crowd, redis: RedisServer
) -> None:
    used, kept = [
        await cluster.api.claim("u", session="s", channels="news,sport") for _ in range(2)
    ]
    await crowd.use(used)
    assert f"claim:{used}" not in keys(redis)
    await eventually(lambda: members(redis, *CLAIM_SETS) == [{kept}] * 4)


async def test_a_disconnect_removes_claims_and_their_ids_from_every_set(
    cluster: Cluster, redis: RedisServer
) -> None:
    await cluster.api.claim("u", session="s", channels="news,sport")
    await cluster.api.disconnect(channel="news")
    assert not [key for key in keys(redis) if key.startswith("claim:")]
    await eventually(lambda: members(redis, *CLAIM_SETS) == [set()] * 4)


async def test_a_claim_that_is_put_into_a_channel_says_so_and_is_in_its_set(
    cluster: Cluster, redis: RedisServer
) -> None:
    id = await cluster.api.claim("u", channels="news")
    await cluster.api.subscribe("sport", user="u")
    with redis.client() as client:
        assert client.hget(f"claim:{id}", "channels") == "news,sport"
        assert members(redis, "claim-channel:sport") == [{id}]
        await cluster.api.unsubscribe("news", user="u")
        assert client.hget(f"claim:{id}", "channels") == "sport"


async def test_a_connection_is_a_hash_and_its_id_is_in_the_sets_of_all_it_is_in(
    cluster: Cluster, crowd: Crowd, redis: RedisServer
) -> None:
    client = await crowd.join("u", session="s", channels="news")
    sets = ["user:u", "user-session:u-s", "channel:news", "channel:all"]
    [one] = (await cluster.api.info(user="u"))["connections"]
    id, worker = one["id"], one["worker"]
    assert uuid.UUID(id).version == 4
    with redis.client() as reader:
        fields = reader.hgetall(f"conn:{id}")
        assert fields.keys() == {"user", "session", "workerId", "channels", "lastPing"}
        assert (fields["user"], fields["session"], fields["workerId"]) == ("u", "s", worker)
        assert fields["channels"] == "news,all"
        assert "lastPing" in reader.hgetall(f"worker:{worker}")
    assert members(redis, *sets) == [{id}] * 4
    await client.leave()
    await eventually(lambda: members(redis, *sets) == [set()] * 4)
    await eventually(lambda: f"conn:{id}" not in keys(redis))


async def test_a_connection_that_is_put_into_a_channel_is_in_its_set(
    cluster: Cluster, crowd: Crowd, redis: RedisServer
) -> None:
    await crowd.join("u")
    [one] = (await cluster.api.info(user="u"))["connections"]
    await cluster.api.subscribe("news", user="u")
    assert members(redis, "channel:news") == [{one["id"]}]
    await cluster.api.unsubscribe("news", user="u")
    assert members(redis, "channel:news") == [set()]


async def test_the_worker_of_a_target_is_told_on_its_channel_and_on_the_one_for_channels(
    cluster: Cluster, crowd: Crowd, redis: RedisServer
) -> None:
    await crowd.join("u", worker=1)
    [one] = (await cluster.api.info(user="u"))["connections"]
    with Redis(port=redis.port) as client, client.pubsub() as spy:
        spy.psubscribe("*")
        await cluster.api.send("a-message", user="u")
        await cluster.api.subscribe("a-channel", user="u")
        client.publish("end", "end")
        told = until_end(spy)
    worker = one["worker"]
    assert [channel for channel, payload in told if b"a-message" in payload] == [worker]
    assert [c for c, payload in told if b"a-channel" in payload] == [f"{worker}:channel"]


def until_end(spy: PubSub) -> list[tuple[str, bytes]]:
    """What was published where, until now."""
    seen: list[tuple[str, bytes]] = []
    while (one := spy.get_message(timeout=10)) and one["channel"] != b"end":
        if one["type"] == "pmessage":
            seen.append((one["channel"].decode(), one["data"]))
    return seen
