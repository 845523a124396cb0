"""Commands find the master of their slot, also while it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from redis.crc import key_slot

from dsock.backends.redis.cluster.shards import Shards
from dsock.backends.redis.cluster.topology import Cluster
from dsock.errors import Unavailable
from dsock.settings import Settings
from tests.support.eventually import eventually
from tests.support.redis_cluster import ClusteredRedis, ask
from tests.support.redis_server import RedisServer

KEYS = [f"key-{number}" for number in range(30)]
"""So many that every master has some."""


@pytest.fixture
def servers(cluster_session: ClusteredRedis) -> ClusteredRedis:
    cluster_session.empty()
    return cluster_session


@pytest.fixture
async def topology(servers: ClusteredRedis) -> AsyncIterator[Cluster]:
    topology = Cluster(Settings(**servers.options))
    await topology.open()
    yield topology
    await topology.close()


@pytest.fixture
async def shards(topology: Cluster) -> AsyncIterator[Shards]:
    shards = topology.pipe(lambda reached, why: None)
    yield shards
    await shards.close()


async def test_every_command_goes_where_its_key_is(shards: Shards, servers: ClusteredRedis) -> None:
    await asyncio.gather(*(shards.call("SET", key, key) for key in KEYS))
    assert servers.keys() == set(KEYS)
    assert await asyncio.gather(*(shards.call("GET", key) for key in KEYS)) == KEYS
    script = "return redis.call('GET', KEYS[1])"
    asked = (shards.call("EVAL", script, 1, key) for key in KEYS)
    assert await asyncio.gather(*asked) == KEYS


async def test_a_command_over_two_slots_is_refused_and_fails_alone(shards: Shards) -> None:
    refused = shards.call("DEL", KEYS[0], KEYS[1])
    beside = shards.call("SET", KEYS[0], "x")
    with pytest.raises(Unavailable):
        await refused
    assert await beside == "OK"


async def test_what_concerns_no_key_is_asked_of_every_master(
    shards: Shards, servers: ClusteredRedis
) -> None:
    texts = await asyncio.gather(*shards.everywhere("INFO", "server"))
    ports = {f"tcp_port:{server.port}" for server in servers.masters()}
    assert {line for text in texts for line in text.splitlines() if "tcp_port" in line} == ports
    assert [role for role, *_ in await asyncio.gather(*shards.check())] == ["master"] * 3


async def test_replies_that_are_asked_to_be_in_turn_come_in_the_order_of_the_calls(
    shards: Shards,
) -> None:
    asked = [shards.in_turn(shards.call("SET", key, "x")) for key in KEYS]
    came: list[int] = []
    for reply in asked:
        reply.add_done_callback(lambda done: came.append(asked.index(done)))
    await eventually(lambda: len(came) == len(KEYS))
    assert came == sorted(came)


async def test_a_slot_that_has_moved_is_followed(topology: Cluster, shards: Shards) -> None:
    slots = topology._slots
    for key in KEYS:
        slot = key_slot(key.encode())
        [wrong, *_] = [one for one in slots.masters if one != slots.owner(slot)]
        slots._owners[slot] = wrong
    asked = [shards.call("RPUSH", key, number) for key in KEYS for number in range(3)]
    await asyncio.gather(*asked)
    for key in KEYS:
        assert await shards.call("LRANGE", key, 0, -1) == ["0", "1", "2"]


async def test_the_order_on_a_key_is_kept_while_its_slot_moves_to_and_fro(
    shards: Shards, servers: ClusteredRedis
) -> None:
    key, asked = KEYS[0], 0
    for _ in range(4):
        source = servers.owner(key)
        target = next(one for one in servers.masters() if one is not source)
        slot = key_slot(key.encode())
        moving = asyncio.create_task(asyncio.to_thread(servers.move_slots, [slot], source, target))
        while not moving.done():
            await asyncio.gather(
                *(shards.call("RPUSH", key, asked + more, once=True) for more in range(5))
            )
            asked += 5
        await moving
        # The next move is one away from there: most must know.
        await eventually(partial(is_at, servers, key, target))
    assert await shards.call("LRANGE", key, 0, -1) == [str(number) for number in range(asked)]


def is_at(servers: ClusteredRedis, key: str, server: RedisServer) -> bool:
    return servers.owner(key) is server


async def test_a_key_that_is_on_its_way_is_asked_for_where_it_goes(
    shards: Shards, servers: ClusteredRedis
) -> None:
    key = KEYS[1]
    slot = key_slot(key.encode())
    source = servers.owner(key)
    target = next(one for one in servers.masters() if one is not source)
    ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", servers.id_of(source))
    ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", servers.id_of(target))
    try:
        assert await shards.call("SET", key, "x", once=True) == "OK"
        assert await shards.call("GET", key) == "x"
        assert target.keys() == {key}
    finally:
        for server in (source, target):
            ask(server, "CLUSTER", "SETSLOT", slot, "STABLE")
