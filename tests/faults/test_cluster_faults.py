"""A Redis Cluster loses a master, or moves its slots: delivery goes on by itself."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from functools import partial

import pytest
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot

from dsock.backends.redis.membership import RedisMembership
from tests.faults.support import (
    HELD_UP,
    Teller,
    all_ready,
    audience,
    clients,
    cluster_with,
    keys,
    shown,
)
from tests.support.cluster import Cluster
from tests.support.eventually import eventually, holds_within
from tests.support.process import processes
from tests.support.redis_cluster import ClusteredRedis

RESUMED = 12.0
"""Seconds from the loss of a master until messages arrive again."""

AFTER_WAKING = 5.0
"""Seconds in which an old master that wakes must not be noticed."""

FEW, LEASE = 3, 5.0

MOVED, TOGETHER = 4000, 40
"""Slots that move, and how many at a time."""

SENDERS, MEANWHILE, LIMIT = 4, 20, 0.001
"""Who sends all the time; what is sent at least while some slots move; the share that may fail."""


PATIENT = 5.0
"""Seconds of silence after which a master is replaced where none is to be, though the machine
may be busy."""


@pytest.fixture
def servers() -> Iterator[ClusteredRedis]:
    with ClusteredRedis() as servers:
        yield servers


@pytest.fixture
def patient() -> Iterator[ClusteredRedis]:
    with ClusteredRedis(timeout=PATIENT) as servers:
        yield servers


def mailbox(cluster: Cluster, worker: int) -> str:
    """The sharded channel on which a worker is told."""
    node = cluster.nodes[worker].worker
    assert node
    assert isinstance(node.membership, RedisMembership)
    return f"{{{node.membership.id}}}"


def settled(servers: ClusteredRedis) -> bool:
    """Whether the claims that were used have been tidied away."""
    there = keys(servers)
    return not any(key.startswith("claim") for key in there)


def reached(statuses: Sequence[int], count: int) -> bool:
    return len(statuses) >= count


async def a_lost_master(servers: ClusteredRedis, what: str, frozen: bool) -> None:
    async with cluster_with(**servers.options) as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        assert await teller.tell()
        key = mailbox(cluster, 0) if what == "mailbox" else what
        old = servers.owner(key)
        if frozen:
            old.freeze()
        else:
            old.kill()
        took = await eventually(lambda: servers.owner(key) is not old, RESUMED)
        await eventually(teller.tell, RESUMED - took)
        await eventually(lambda: all_ready(cluster), RESUMED)
        assert await shown(cluster, "u") == len(listeners)
        if frozen:
            old.thaw()
            loop = asyncio.get_running_loop()
            end = loop.time() + AFTER_WAKING
            while loop.time() < end:
                assert await teller.tell()
                assert await holds_within(lambda: all_ready(cluster), HELD_UP)
        await teller.check()
        assert all(client.close_code is None for client in listeners)


@pytest.mark.parametrize("what", ["workers", "channel-workers:news", "mailbox"])
async def test_b81_delivery_resumes_by_itself_when_a_master_is_killed(
    servers: ClusteredRedis, what: str
) -> None:
    await a_lost_master(servers, what, frozen=False)


async def test_delivery_resumes_by_itself_when_a_master_hangs(servers: ClusteredRedis) -> None:
    await a_lost_master(servers, "mailbox", frozen=True)


async def test_slots_may_move_while_messages_are_sent(patient: ClusteredRedis) -> None:
    servers = patient
    async with cluster_with(**servers.options) as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        used = ["workers", "channel-workers:news", mailbox(cluster, 0), mailbox(cluster, 1)]
        failed = 0
        for key in used:
            source = servers.owner(key)
            target = next(one for one in servers.masters() if one is not source)
            moving = asyncio.create_task(
                asyncio.to_thread(servers.move_slots, [key_slot(key.encode())], source, target)
            )
            while not moving.done():
                failed += not await teller.tell()
            await moving
            await eventually(teller.tell, 5)
        assert failed <= FEW * len(used)
        await eventually(lambda: all_ready(cluster), 5)
        assert await shown(cluster, "u") == len(listeners)
        await teller.check()
        assert all(client.close_code is None for client in listeners)


async def test_4000_slots_may_move_under_load(patient: ClusteredRedis) -> None:
    servers = patient
    # Redis has to be asked elsewhere, not to be quick: much else goes on on this machine.
    options = {**servers.options, "redis_timeout": 5.0}
    async with cluster_with(**options) as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        assert await teller.tell()
        source = servers.owner(mailbox(cluster, 0))
        target = next(one for one in servers.masters() if one is not source)
        # The mailbox is among them.
        first = key_slot(mailbox(cluster, 0).encode())
        slots = sorted(servers.slots(source), key=lambda slot: (slot - first) % SLOTS)[:MOVED]
        statuses: list[int] = []

        async def send(sender: int) -> None:
            for number in itertools.count():
                sent = await cluster.api.send("x", user=f"{sender}-{number}")
                statuses.append(sent.status)

        async with teller.telling():
            senders = [asyncio.create_task(send(number)) for number in range(SENDERS)]
            for start in range(0, MOVED, TOGETHER):
                enough = len(statuses) + MEANWHILE
                part = slots[start : start + TOGETHER]
                await asyncio.to_thread(servers.move_slots, part, source, target)
                await eventually(partial(reached, statuses, enough))
            for sender in senders:
                sender.cancel()
        assert servers.owner(mailbox(cluster, 0)) is target
        await eventually(teller.tell, RESUMED)
        statuses += teller.answered
        assert sum(status >= 500 for status in statuses) <= LIMIT * len(statuses)
        await eventually(lambda: all_ready(cluster), RESUMED)
        assert await shown(cluster, "u") == len(listeners)
        await teller.check()
        assert all(client.close_code is None for client in listeners)


async def test_a_killed_worker_leaves_no_key_on_any_master(patient: ClusteredRedis) -> None:
    servers, at = patient, {"worker_lease": LEASE}
    given = {"redis_mode": "cluster", "redis_host": servers.options["redis_host"]}
    async with (
        cluster_with(**servers.options, **at) as cluster,
        clients(cluster, 2, "safe", channels="news", session="a"),
    ):
        await eventually(lambda: settled(servers))
        before = keys(servers)
        async with processes(1, "worker", **given, worker_lease=f"{LEASE}s") as started:
            cluster.workers.append(await started[0].listening())
            async with clients(cluster, 3, "lost", worker=2, channels="news,sport", session="b"):
                assert keys(servers) > before
                await started[0].kill()
                await eventually(lambda: keys(servers) == before, LEASE + 8)
        assert await shown(cluster, "lost") == 0
        assert await shown(cluster, "safe") == 2


async def test_a_master_that_hands_over_in_good_order_is_followed(patient: ClusteredRedis) -> None:
    servers = patient
    async with cluster_with(**servers.options) as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        old = servers.owner(mailbox(cluster, 0))
        replica = servers.servers[servers.servers.index(old) + 3]
        with replica.client() as client:
            client.execute_command("CLUSTER", "FAILOVER")
        await eventually(lambda: old not in servers.masters(), 10)
        await eventually(teller.tell, 5)
        await eventually(lambda: all_ready(cluster), 5)
        await teller.check()
        assert all(client.close_code is None for client in listeners)
