"""A Redis that answers, but not what we need, is told apart from one that is out of reach."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from dsock.backends.redis.connections import connector
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.pipe import Pipe
from dsock.backends.redis.reaper import Reaper
from dsock.node import Role
from dsock.settings import Settings
from tests.faults.support import all_ready, cluster_at, none_ready
from tests.support.eventually import eventually
from tests.support.process import process
from tests.support.redis_server import RedisServer


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def pipe(server: RedisServer) -> AsyncIterator[Pipe]:
    connect = connector(Settings(redis_host=server.address), decode=True)
    pipe = Pipe(connect, timeout=2, max_retries=2, changed=lambda ok, why: None)
    yield pipe
    await pipe.close()


@pytest.mark.parametrize("role", ["api", "worker", "serve"])
async def test_a_wrong_password_is_called_one_at_start(server: RedisServer, role: Role) -> None:
    with server.client() as redis:
        redis.config_set("requirepass", "right")
    said = await refused(role, redis_host=server.address, redis_password="wrong")
    assert said == f"dsock {role}: Redis at {server.address} refuses the user or password"


async def test_a_worker_that_may_not_subscribe_says_so_and_ends(server: RedisServer) -> None:
    with server.client() as redis:
        redis.execute_command("ACL", "SETUSER", "default", "resetchannels")
    said = await refused("worker", redis_host=server.address)
    assert said == "dsock worker: cannot take part through Redis: NoPermissionError"


async def refused(role: Role, **options: str) -> str:
    """The last line of a node that does not start."""
    async with process(role, **options) as started:
        assert await started.ended() == 2
        return started.log[-1]


async def test_a_node_on_a_redis_that_became_a_replica_is_not_ready(server: RedisServer) -> None:
    async with cluster_at(server.address) as cluster:
        with server.client() as redis:
            redis.execute_command("REPLICAOF", "127.0.0.1", "1")
            await eventually(lambda: none_ready(cluster), 8)
            assert (await cluster.api.call("POST", "/claim", user="u")).status == 503
            redis.execute_command("REPLICAOF", "NO", "ONE")
        await eventually(lambda: all_ready(cluster), 8)
        await cluster.api.claim("u")


async def test_b25_what_a_dead_worker_left_goes_even_when_its_records_have_ended(
    server: RedisServer, pipe: Pipe
) -> None:
    ids = [f"id-{number}" for number in range(1200)]
    channels = [f"channel-{number}" for number in range(300)]
    with server.client() as redis:
        entries = [json.dumps([id, "u", None]) for id in ids]
        entries += [json.dumps(name) for name in channels] + [json.dumps({"user": "u"})]
        redis.sadd("worker-records:dead", *entries)
        redis.sadd("user:u", *ids)
        redis.sadd("user-workers:u", "dead")
        for name in channels:
            redis.sadd(f"channel:{name}", *ids[:3])
            redis.sadd(f"channel-workers:{name}", "dead")
    before = server.commands()
    await Reaper(pipe, Keys()).remove("dead")
    assert server.keys() == set()
    # By channels and by connections, not by one times the other.
    assert server.commands() - before < 10 * (len(ids) + len(channels))
