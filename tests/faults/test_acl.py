"""A Redis user with the rights that `docs/operations.md` lists needs no more and no less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.support import cluster_with, goodbye
from tests.support.cluster import Caller, Cluster, node_up
from tests.support.eventually import eventually
from tests.support.process import processes
from tests.support.redis_cluster import ClusteredRedis
from tests.support.redis_server import RedisServer
from tests.support.rights import PASSWORD, refused, rights, rights_at_sentinels
from tests.support.sentinels import WatchedRedis

LEASE, REPORT_TIMEOUT = 5.0, 10.0
"""Seconds, so many that a busy machine costs nobody his lease and no answer is missed."""

DOWN_AFTER = 5.0
"""Seconds after which a master is replaced: none is to be here."""

CLAIMS = 50
"""So many that the sets they enter are tidied."""

WORKER = "????????-????-????-????-????????????"
CLUSTERED = {
    "+publish": "+spublish",
    "+subscribe": "+ssubscribe +cluster|slots +asking +role",
    f"&{WORKER}": f"&{{{WORKER}}}*",
    **dict.fromkeys((f"&{WORKER}:channel", "&workers", "&workers:channel"), ""),
}
"""What the page says about a Redis Cluster."""

OWN = {"acl|setuser", "acl|log", "config|resetstat", "keys", "auth", "client|setinfo"}
"""What these tests do themselves, and what everybody may."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def used(redis: Any) -> set[str]:
    """All commands that were carried out, in scripts too."""
    stats = redis.info("commandstats")
    done = {name for name, one in stats.items() if one["calls"] > one.get("rejected_calls", 0)}
    return {name.removeprefix("cmdstat_") for name in done} - OWN


@pytest.mark.parametrize(("prefix", "db"), [("dsock:", 0), ("", 2)])
async def test_a_cluster_needs_exactly_the_rights_that_are_documented(
    server: RedisServer, prefix: str, db: int
) -> None:
    line = rights(prefix, db)
    with server.client(db=db) as redis:
        redis.execute_command(*(word.replace("PASSWORD", PASSWORD) for word in line))
        redis.config_resetstat()
        as_user = {
            "redis_host": server.address,
            "redis_username": "dsock",
            "redis_password": PASSWORD,
            "redis_key_prefix": prefix,
        }
        waits = {"worker_lease": LEASE, "report_timeout": REPORT_TIMEOUT}
        api = node_up("api", **as_user, redis_db=db, **waits)
        options = {"redis_db": str(db), "worker_lease": f"{LEASE}s"}
        async with api as (node, address), processes(2, "worker", **as_user, **options) as started:
            caller = Caller(f"http://{address}")
            async with caller.http:
                workers = [await one.listening() for one in started]
                cluster = Cluster("redis", [caller], workers, [node])
                await everything(cluster)
                async with cluster.client("u", worker=0, session="s", channels="news") as client:
                    started[0].stop()
                    await eventually(lambda: away(cluster), 5 * LEASE)
                    started[0].go_on()
                    assert await goodbye(client, within=10) == 1012
                async with cluster.client("u", worker=1, session="s", channels="news"):
                    await started[1].kill()
                    await eventually(lambda: away(cluster), 5 * LEASE)
        assert refused(redis) == []
        assert used(redis) == {word[1:] for word in line if word.startswith("+")}


@pytest.mark.parametrize("prefix", ["dsock:", ""])
async def test_on_a_redis_cluster_it_needs_exactly_what_is_documented(prefix: str) -> None:
    line = rights(prefix, 0, CLUSTERED)
    with ClusteredRedis(timeout=DOWN_AFTER) as servers:
        for server in servers.servers:
            with server.client() as redis:
                redis.execute_command(*(word.replace("PASSWORD", PASSWORD) for word in line))
                redis.config_resetstat()
        as_user = {"redis_username": "dsock", "redis_password": PASSWORD}
        options = {**servers.options, **as_user, "redis_key_prefix": prefix}
        async with cluster_with(**options, report_timeout=REPORT_TIMEOUT) as cluster:
            await everything(cluster)
        done = set()
        for server in servers.servers:
            with server.client() as redis:
                assert refused(redis) == []
                done |= used(redis)
        # The reaper's, and what a slot that moves needs.
        rest = {"set", "asking"}
        assert {word[1:] for word in line if word.startswith("+")} <= done | rest


async def test_with_sentinels_it_needs_what_is_documented() -> None:
    line = [*rights("dsock:", 0), "+role"]
    with WatchedRedis(down_after=DOWN_AFTER) as servers:
        for server in servers.servers:
            with server.client() as redis:
                redis.execute_command(*(word.replace("PASSWORD", PASSWORD) for word in line))
        for sentinel in servers.sentinels:
            with sentinel.client() as redis:
                watcher = ["watcher", "reset", "on", f">{PASSWORD}", *rights_at_sentinels()]
                redis.execute_command("ACL", "SETUSER", *watcher)
        as_user = {
            "redis_username": "dsock",
            "redis_password": PASSWORD,
            "redis_sentinel_username": "watcher",
            "redis_sentinel_password": PASSWORD,
        }
        options = {**servers.options, **as_user, "redis_key_prefix": "dsock:"}
        async with cluster_with(**options, report_timeout=REPORT_TIMEOUT) as cluster:
            await everything(cluster)
        for server in (*servers.servers, *servers.sentinels):
            with server.client() as redis:
                assert refused(redis) == []


async def everything(cluster: Cluster) -> None:
    """Every call of the API, with clients and claims to meet."""
    async with cluster.client("u", worker=0, session="s", channels="news") as client:
        [shown] = (await cluster.api.info(user="u"))["connections"]
        for _ in range(CLAIMS):
            await cluster.api.claim("claims", session="s", channels="news")
        assert (await cluster.api.send("hi", id=shown["id"])).report["connections"] == 1
        assert await client.recv() == "hi"
        for target in ({"user": "u", "session": "s"}, {"channel": "news"}):
            for verb in ("subscribe", "unsubscribe"):
                moved = await cluster.api.call("POST", f"/channel/{verb}/sport", **target)
                assert moved.report["connections"] == 1
            assert (await cluster.api.send("hi", **target)).report["connections"] == 1
        alone = await cluster.api.claim("alone", channels="news")
        assert (await cluster.api.unsubscribe("news", user="alone")).status == 200
        [claim] = (await cluster.api.info(user="alone"))["claims"]
        assert (claim["id"], claim["channels"]) == (alone, [])
        assert (await cluster.api.disconnect(user="claims")).status == 200
        assert (await cluster.api.disconnect(user="u")).report["connections"] == 1


async def away(cluster: Cluster) -> bool:
    return not (await cluster.api.info(user="u"))["connections"]
