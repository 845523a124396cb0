"""Sets of claims do not grow for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dsock.backends.redis.claim_sets import ClaimSets
from dsock.backends.redis.connections import connector
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.pipe import Pipe
from dsock.settings import Settings
from tests.support.redis_server import RedisServer


@pytest.fixture
async def sets(redis: RedisServer) -> AsyncIterator[ClaimSets]:
    connect = connector(Settings(redis_host=redis.address), decode=True)
    pipe = Pipe(connect, timeout=2, max_retries=2, changed=lambda ok, why: None)
    yield ClaimSets(pipe, Keys(), grace=0)
    await pipe.close()


async def test_b54_ids_whose_claim_has_expired_leave_a_set_that_lives_on(
    sets: ClaimSets, redis: RedisServer
) -> None:
    with redis.client() as client:
        client.sadd("claim-user:u", "expired-1", "expired-2", "alive-id")
        client.hset("claim:alive-id", "user", "u")
        await sets.tidy("claim-user:u")
        assert client.smembers("claim-user:u") == {"alive-id"}


async def test_a_set_that_has_ended_is_left_alone(sets: ClaimSets, redis: RedisServer) -> None:
    await sets.tidy("claim-user:u")
    assert redis.keys() == set()


async def test_an_id_that_was_used_again_meanwhile_stays_in_its_sets(
    sets: ClaimSets, redis: RedisServer
) -> None:
    with redis.client() as client:
        client.hset("claim:again", "user", "u")
        client.pexpire("claim:again", 60_000)
        for key in ("claim-user:u", "claim-channel:news"):
            client.sadd(key, "again", "gone")
        client.sadd("claim-user:u", "another")
        await sets.leave({"claim-user:u": ["again", "gone"], "claim-channel:news": ["gone"]})
        assert client.smembers("claim-user:u") == {"again", "another"}
        assert client.smembers("claim-channel:news") == {"again"}
        await sets.leave({"claim-channel:news": ["again"]})
        # It was empty in between, and ends with its claim all the same.
        assert client.smembers("claim-channel:news") == {"again"}
        assert 60_000 < client.pttl("claim-channel:news") <= 80_000
