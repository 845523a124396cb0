"""Brokers that share a Redis, each in a database of its own."""

from __future__ import annotations

import pytest
from websockets.asyncio.client import connect

from dsock.backends.redis.connections import database_of
from dsock.settings import Settings
from tests.support.cluster import Caller, node_up
from tests.support.redis_server import RedisServer
from tests.support.together import together


async def test_two_brokers_in_two_databases_of_one_fresh_redis_are_two() -> None:
    # While it is fresh, an API tells all workers; and channels of Redis know no databases.
    with RedisServer() as server:
        at = {"redis_host": server.address}
        mine, theirs = node_up("worker", **at, redis_db=0), node_up("worker", **at, redis_db=1)
        async with together(
            mine, theirs, node_up("api", **at), node_up("api", **at, redis_db=1)
        ) as up:
            (_, worker), _, (_, my_api), (_, their_api) = up
            mine_, theirs_ = Caller(f"http://{my_api}"), Caller(f"http://{their_api}")
            async with mine_.http, theirs_.http:
                claim = await mine_.claim("u")
                async with connect(f"ws://{worker}/connect?claim={claim}") as client:
                    await theirs_.send("not for you", user="u")
                    await mine_.send("for you", user="u")
                    assert await client.recv() == "for you"


@pytest.mark.parametrize(
    ("settings", "database"),
    [
        (Settings(), 0),
        (Settings(redis_db=3), 3),
        (Settings(redis_url="redis://localhost"), 0),
        (Settings(redis_url="redis://localhost/4"), 4),
        (Settings(redis_url="unix:///redis.sock?db=5"), 5),
    ],
)
def test_the_database_is_known_however_it_is_set(settings: Settings, database: int) -> None:
    assert database_of(settings) == database
