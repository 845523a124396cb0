"""The scripts look again at what they are about to change: it may have changed since."""

from __future__ import annotations

import pytest

from dsock.backends.redis import scripts
from tests.support.cluster import redis_cluster
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

CLAIM = {"user": "u", "session": "s", "channels": "a,b", "expiration": "2099-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("user", "session", "channel", "voided"),
    [
        ("u", "", "", True),
        ("u", "s", "", True),
        ("", "", "a", True),
        ("", "", "b", True),
        ("v", "", "", False),
        ("u", "t", "", False),
        ("", "", "c", False),
        ("", "", "a,c", False),
    ],
)
def test_b62_a_claim_that_is_no_longer_of_the_target_is_not_voided(
    redis: RedisServer, user: str, session: str, channel: str, voided: bool
) -> None:
    with redis.client() as client:
        client.hset("claim:one", mapping=CLAIM)
        client.eval(scripts.VOID_CLAIM, 1, "claim:one", user, session, channel)
        assert client.exists("claim:one") == (not voided)


@pytest.mark.parametrize(("user", "session"), [("v", "s"), ("u", "t"), ("u", "")])
def test_b76_a_claim_that_has_become_anothers_is_not_moved(
    redis: RedisServer, user: str, session: str
) -> None:
    with redis.client() as client:
        client.hset("claim:one", mapping=CLAIM)
        assert client.eval(scripts.MOVE_CLAIM, 1, "claim:one", "c", 1, user, session) == 0
        assert client.hget("claim:one", "channels") == "a,b"


def test_b76_a_claim_that_is_gone_is_not_brought_back_by_a_move(redis: RedisServer) -> None:
    with redis.client() as client:
        assert client.eval(scripts.MOVE_CLAIM, 1, "claim:one", "c", 1, "u", "s") == 0
        assert redis.keys() == set()


async def test_a_subscribe_that_could_not_be_recorded_is_no_success(redis: RedisServer) -> None:
    async with redis_cluster(redis) as cluster, cluster.client("u"):
        with redis.client() as client:
            client.set("channel:news", "is no set")
            reply = await cluster.api.subscribe("news", user="u")
            assert (reply.status, reply.code) == (504, "WORKER_UNANSWERED")
            client.delete("channel:news")

        async def subscribed() -> bool:
            return (await cluster.api.subscribe("news", user="u")).status == 200

        await eventually(subscribed)
        shown = (await cluster.api.info(channel="news"))["connections"]
        assert [one["user"] for one in shown] == ["u"]
