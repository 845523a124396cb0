"""Claims that nobody used."""

from __future__ import annotations

import asyncio

import pytest

from dsock.backends.redis import claim_sets
from tests.faults.support import keys
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

CLAIMS = 100


async def test_b54_claims_that_have_expired_leave_no_key(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_sets, "INDEX_MARGIN", 1)
    before = keys(redis)
    wanted = {"session": "s", "duration": "6"}
    await asyncio.gather(
        *(
            cluster.apis[n % 2].claim(f"user-{n}", channels=f"all,channel-{n}", **wanted)
            for n in range(CLAIMS)
        )
    )
    assert len((await cluster.api.info(channel="all"))["claims"]) == CLAIMS
    await eventually(lambda: keys(redis) == before, within=20)

    async def none_is_shown() -> bool:
        return not (await cluster.api.info(channel="all"))["claims"]

    await eventually(none_is_shown, within=20)
