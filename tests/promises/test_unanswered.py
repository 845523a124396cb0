"""Promise 6 where a worker, or Redis itself, does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.client import PubSub

from tests.support.cluster import Cluster, redis_cluster
from tests.support.crowd import Crowd, Refusal, crowd_at
from tests.support.redis_server import RedisServer

GHOST = "11111111-1111-1111-1111-111111111111"
by_every_command = pytest.mark.parametrize(
    "path", ["/disconnect", "/channel/subscribe/extra", "/channel/unsubscribe/extra"]
)


@pytest.fixture
async def cluster(redis: RedisServer) -> AsyncIterator[Cluster]:
    """Promises about absent workers are made where there can be any."""
    async with redis_cluster(redis, report_timeout=1.5) as cluster:
        yield cluster


@pytest.fixture(params=["deaf", "silent"])
def ghost(request: pytest.FixtureRequest, redis: RedisServer) -> Iterator[str]:
    """A worker that Redis knows of: nobody hears its mailbox, or nobody answers."""
    with redis.client() as client:
        client.zadd("workers", {GHOST: 0})
        client.sadd("user-workers:user", GHOST)
        client.sadd("channel-workers:news", GHOST)
        mailbox: PubSub = client.pubsub()
        if request.param == "silent":
            mailbox.subscribe(GHOST, f"{GHOST}:channel")
            mailbox.get_message(timeout=5)
            mailbox.get_message(timeout=5)
        yield GHOST
        mailbox.close()


@pytest.mark.usefixtures("ghost")
@pytest.mark.parametrize("target", [{"user": "user"}, {"channel": "news"}])
async def test_b69_a_send_says_who_did_not_answer(
    cluster: Cluster, crowd: Crowd, target: dict[str, str]
) -> None:
    client = await crowd.join("user", 1, channels="news")
    sent = await cluster.apis[1].send("hello", **target)
    assert (sent.status, sent.json["success"]) == (200, True)
    assert sent.report == {"workers": 2, "connections": 1, "dropped": 0, "unanswered": 1}
    assert await client.next() == "hello"


@pytest.mark.usefixtures("ghost")
@by_every_command
async def test_what_a_worker_did_not_confirm_is_no_success(
    cluster: Cluster, crowd: Crowd, path: str
) -> None:
    await crowd.join("user", 1)
    reply = await cluster.api.call("POST", path, user="user")
    assert (reply.status, reply.json["success"]) == (504, False)
    assert reply.code == "WORKER_UNANSWERED"
    assert reply.report == {"workers": 2, "connections": 1, "dropped": 0, "unanswered": 1}


@by_every_command
async def test_a_worker_that_has_left_is_not_missed(
    cluster: Cluster, crowd: Crowd, redis: RedisServer, path: str
) -> None:
    with redis.client() as client:
        # As a route reads that was read just before.
        client.sadd("user-workers:user", GHOST)
        await crowd.join("user", 1)
        reply = await cluster.api.call("POST", path, user="user")
    assert (reply.status, reply.json["success"]) == (200, True)
    assert reply.report == {"workers": 1, "connections": 1, "dropped": 0, "unanswered": 0}


@by_every_command
async def test_a_worker_that_was_declared_gone_is_not_waited_for(
    cluster: Cluster, crowd: Crowd, redis: RedisServer, path: str
) -> None:
    with redis.client() as client:
        client.sadd("user-workers:user", GHOST)
        client.set(f"reaped:{GHOST}", 1)
        await crowd.join("user", 1)
        reply = await cluster.api.call("POST", path, user="user")
        assert (reply.status, reply.json["success"]) == (200, True)
        assert reply.report == {"workers": 1, "connections": 1, "dropped": 0, "unanswered": 0}
        assert client.sismember("user-workers:user", GHOST) == 0


CALLS = [
    ("POST", "/claim", {"user": "user"}, "ERROR_CHECKING_CLAIM"),
    ("POST", "/send", {"user": "user"}, "ERROR_GETTING_USER"),
    ("POST", "/send", {"channel": "news", "report": "false"}, "ERROR_GETTING_CHANNEL"),
    ("POST", "/disconnect", {"user": "user"}, "ERROR_GETTING_CLAIM"),
    ("POST", "/disconnect", {"id": "one", "keepClaims": "true"}, "ERROR_GETTING_CONNECTION"),
    ("POST", "/channel/subscribe/sport", {"user": "user"}, "ERROR_GETTING_CLAIM"),
    ("POST", "/channel/unsubscribe/news", {"channel": "news"}, "ERROR_GETTING_CLAIM"),
    ("GET", "/info", {"channel": "news"}, "ERROR_GETTING_CHANNEL"),
]


async def test_b53_b62_b66_without_redis_nothing_succeeds() -> None:
    with RedisServer() as server:
        cluster_up = redis_cluster(server, redis_timeout=3.0)
        async with cluster_up as cluster, crowd_at(cluster) as crowd:
            await crowd.join("user", 1, channels="news")
            claim = await cluster.api.claim("user")
            server.kill()
            refusal, *replies = await asyncio.gather(
                crowd.attempt(claim, worker=1),
                *(
                    cluster.apis[n % 2].call(method, path, type="text", **target)
                    for n, (method, path, target, _) in enumerate(CALLS)
                ),
            )
            said = [(r.status, r.json["success"], r.code) for r in replies]
            assert said == [(503, False, code) for *_, code in CALLS]
            assert isinstance(refusal, Refusal)
            assert refusal.status == 503
