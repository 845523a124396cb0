"""A reply of Redis that is late: what happens meanwhile holds all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from dsock.backends.redis.membership import RedisMembership
from dsock.claim import Claim
from tests.support.cluster import redis_cluster
from tests.support.redis_server import RedisServer
from tests.support.steps import ROUTE, stepped


async def test_what_is_sent_after_an_unsubscribe_does_not_reach_who_is_just_being_let_in(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, replied = asyncio.Event(), asyncio.Event()
    take = RedisMembership.take

    async def late(self: RedisMembership, claim: Claim) -> Any:
        now = await take(self, claim)
        taken.set()
        await replied.wait()
        return now

    async with redis_cluster(redis) as cluster:
        claim = await cluster.api.claim("u", channels="a,b")
        url = cluster.url(f"?claim={claim}")
        async with stepped(cluster.nodes[0]).held_before(ROUTE) as arrived:
            monkeypatch.setattr(RedisMembership, "take", late)
            attempt = asyncio.create_task(connect(url).__aenter__())
            await arrived()
            # Nobody knows of the client yet: it is the claim that leaves the channel.
            assert (await cluster.api.unsubscribe("a", user="u")).status == 200
        await taken.wait()
        await cluster.api.send("of a", channel="a")
        replied.set()
        with pytest.raises(InvalidStatus) as refusal:
            await attempt
        assert refusal.value.response.status_code == 503
        async with connect(url) as client:
            for channel in ("a", "b"):
                await cluster.api.send(f"now of {channel}", channel=channel)
            assert await client.recv() == "now of b"
