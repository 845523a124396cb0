"""The contract where Redis holds what others have left there: crashed workers, expired
claims, other programs."""

from __future__ import annotations

import asyncio
import time

import pytest

from dsock.backends.base import Backend
from dsock.backends.redis.moments import to_text
from dsock.claim import Claim, ClaimRequest
from dsock.errors import ClaimExpirationUnreadable, ExpiredClaim
from dsock.target import Target, ToChannel, ToUser
from tests.support.recorder import Line, Member
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.parametrize("backend", ["redis"], indirect=True)

TARGETS: list[Target] = [ToUser("user"), ToUser("user", "s"), ToChannel("news")]
by_target = pytest.mark.parametrize("target", TARGETS, ids=repr)


def claim_of(user: str, id: str = "claim-id") -> ClaimRequest:
    return ClaimRequest(Claim(id, user, "s", ("news",), int(time.time()) + 60), 60)


@by_target
async def test_b65_stale_connections_are_not_shown(
    backend: Backend, members: list[Member], redis: RedisServer, target: Target
) -> None:
    await members[0].admit(Line("line", "user", "s", {"news": None}))
    with redis.client() as client:
        for key in ("user:user", "user-session:user-s", "channel:news"):
            client.sadd(key, "stale", "0", "half")
        client.hset("conn:half", "lastPing", to_text(time.time()))
        client.hset("conn:0", mapping={"user": "user", "session": "s", "workerId": "w"})
    assert [one.id for one in (await backend.info(target)).connections] == ["line"]


@by_target
async def test_b59_connections_of_others_in_a_set_are_not_shown(
    backend: Backend, members: list[Member], redis: RedisServer, target: Target
) -> None:
    await members[0].admit(Line("line", "other", "t", {"sport": None}))
    with redis.client() as client:
        for key in ("user:user", "user-session:user-s", "channel:news"):
            client.sadd(key, "line")
    assert (await backend.info(target)).connections == []


@by_target
async def test_b63_stale_claims_are_not_shown(
    backend: Backend, redis: RedisServer, target: Target
) -> None:
    request = claim_of("user")
    await backend.create_claim(request)
    with redis.client() as client:
        for key in ("claim-user:user", "claim-user-session:user-s", "claim-channel:news"):
            client.sadd(key, "expired", "0")
    assert (await backend.info(target)).claims == [request.claim]


@by_target
async def test_a_claim_whose_id_was_anothers_before_is_not_voided_or_moved(
    backend: Backend, redis: RedisServer, target: Target
) -> None:
    request = ClaimRequest(Claim("claim-id", "heir", None, (), int(time.time()) + 60), 60)
    await backend.create_claim(request)
    with redis.client() as client:
        for key in ("claim-user:user", "claim-user-session:user-s", "claim-channel:news"):
            client.sadd(key, "claim-id")
    await backend.move_claims(target, "sport", subscribed=True)
    await backend.void_claims(target)
    assert await backend.read_claim("claim-id") == request.claim


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-01T00:00:00"])
async def test_b68_a_last_ping_that_cannot_be_read_is_none(
    backend: Backend, members: list[Member], redis: RedisServer, text: str
) -> None:
    await members[0].admit(Line("line", "user"))
    with redis.client() as client:
        client.hset("conn:line", "lastPing", text)
    (one,) = (await backend.info(ToUser("user"))).connections
    assert one.last_ping is None


async def test_a_claim_without_a_user_is_missing(backend: Backend, redis: RedisServer) -> None:
    with redis.client() as client:
        client.hset("claim:claim-id", "channels", "news")
        client.sadd("claim-channel:news", "claim-id")
    assert await backend.read_claim("claim-id") is None
    assert (await backend.info(ToChannel("news"))).claims == []


@pytest.mark.parametrize(
    ("expiration", "error"),
    [("2020-01-01T00:00:00Z", ExpiredClaim), ("soon", ClaimExpirationUnreadable)],
)
async def test_a_claim_stored_without_an_end_is_refused_when_it_says_so(
    backend: Backend, redis: RedisServer, expiration: str, error: type[Exception]
) -> None:
    with redis.client() as client:
        client.hset("claim:claim-id", mapping={"user": "user", "expiration": expiration})
    with pytest.raises(error):
        await backend.read_claim("claim-id")


async def test_b53_b54_no_claim_and_no_set_of_claims_is_without_an_end(
    backend: Backend, redis: RedisServer
) -> None:
    await asyncio.gather(*(backend.create_claim(claim_of("user", f"id-{n}")) for n in range(20)))
    await backend.move_claims(ToUser("user"), "sport", subscribed=True)
    with redis.client() as client:
        lives = {key: client.ttl(key) for key in client.scan_iter("claim*")}
    assert len(lives) == 20 + 4
    for key, life in lives.items():
        assert 50 < life <= (60 if key.startswith("claim:") else 70), key


async def test_b62_b76_nothing_of_a_claim_is_left_when_it_is_taken_moved_or_voided(
    backend: Backend, members: list[Member], redis: RedisServer
) -> None:
    for n in range(50):
        request = claim_of("user", f"id-{n}")
        await backend.create_claim(request)
        end = (
            backend.void_claims(ToChannel("news"))
            if n % 2
            else members[0].membership.take(request.claim)
        )
        await asyncio.gather(end, backend.move_claims(ToUser("user"), "sport", subscribed=True))
        await backend.void_claims(ToUser("user"))
    with redis.client() as client:
        assert list(client.scan_iter("claim:*")) == []
        for key in ("claim-user:user", "claim-user-session:user-s", "claim-channel:news"):
            assert client.scard(key) == 0, key
