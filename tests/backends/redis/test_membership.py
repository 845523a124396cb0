"""A worker's place in the cluster, when the cluster and the worker disagree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dsock.backends.redis import membership as membership_module
from dsock.backends.redis import scripts, watch
from dsock.backends.redis.backend import RedisBackend
from dsock.backends.redis.calls import Reply
from dsock.backends.redis.ledger import Ledger
from dsock.backends.redis.membership import RedisMembership
from dsock.backends.redis.records import Records
from dsock.command import MessageType, Send
from dsock.errors import Unavailable
from dsock.events import Event, WorkerGone
from dsock.settings import Settings
from dsock.target import ToUser
from dsock.wire.codec import Letter
from tests.faults.killable import settled_keys
from tests.faults.proxy import Faults, Proxy, proxy_to
from tests.faults.support import cluster_at, goodbye, keys
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.recorder import Line, Member, member_of
from tests.support.redis_server import RedisServer


def membership_of(cluster: Cluster) -> RedisMembership:
    """That of the first worker."""
    worker = cluster.nodes[0].worker
    assert worker
    assert isinstance(worker.membership, RedisMembership)
    return worker.membership


async def declare_gone(cluster: Cluster, worker: str) -> None:
    """As an API that has not heard of it for its lease."""
    backend = cluster.nodes[-1].backend
    assert isinstance(backend, RedisBackend)
    await backend._reaper.declare_gone(worker)


async def beats(cluster: Cluster) -> list[str]:
    """Whom Redis has among the workers."""
    backend = cluster.nodes[-1].backend
    assert isinstance(backend, RedisBackend)
    workers: list[str] = await backend._reads.call("ZRANGE", "workers", 0, -1)
    return workers


async def test_a_worker_that_was_declared_gone_goes_on_under_a_new_id(redis: RedisServer) -> None:
    async with cluster_at(redis.address) as cluster, cluster.client("u") as client:
        membership = membership_of(cluster)
        old = membership.id
        await declare_gone(cluster, old)
        assert await goodbye(client, within=5) == 1012
        await eventually(lambda: membership.ready)
        assert membership.id != old
        assert old not in await beats(cluster)
        assert not [key for key in keys(redis) if old in key]


async def test_a_worker_declared_gone_while_it_announces_itself_lets_nobody_in_as_the_old(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()
    write = RedisMembership._write_worker

    async def held(membership: RedisMembership) -> None:
        reached.set()
        await go_on.wait()
        await write(membership)

    async with cluster_at(redis.address) as cluster, cluster.client("u") as client:
        membership = membership_of(cluster)
        old = membership.id
        monkeypatch.setattr(RedisMembership, "_write_worker", held)
        membership.announce_again()
        await asyncio.wait_for(reached.wait(), 5)
        # All is written but the end, when somebody's patience ends.
        await declare_gone(cluster, old)
        go_on.set()
        await eventually(lambda: membership.ready)
        assert membership.id != old
        assert await goodbye(client, within=2) == 1012


async def test_a_worker_whose_subscription_was_away_writes_everything_again(
    redis: RedisServer,
) -> None:
    async with cluster_at(redis.address) as cluster, cluster.client("u", channels="news"):
        with redis.client() as client:
            # As after a failover to a replica that lags behind.
            for key in ("user-workers:u", "channel-workers:news", "user:u"):
                assert client.delete(key)
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(
            lambda: {"user-workers:u", "channel-workers:news", "user:u"} <= keys(redis), 5
        )


async def test_a_channel_that_is_joined_while_a_worker_announces_itself_leads_there(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = asyncio.Event()
    remove = Records.remove_listed

    async with cluster_at(redis.address) as cluster, cluster.client("stays") as client:
        worker = cluster.nodes[0].worker
        assert worker
        [stays] = worker.everyone()

        async def held(records: Records, *what: Any) -> None:
            if not joined.is_set():
                asked.append(asyncio.create_task(cluster.api.subscribe("news", user="stays")))
                await eventually(lambda: "news" in stays.channels)
                joined.set()
            await remove(records, *what)

        asked: list[asyncio.Task[Any]] = []
        async with cluster.client("leaves", channels="news"):
            pass
        await eventually(lambda: worker.everyone() == [stays])
        # The route to its channel is no longer needed, but still there.
        monkeypatch.setattr(Records, "remove_listed", held)
        membership_of(cluster).announce_again()
        await asyncio.wait_for(joined.wait(), 5)
        await eventually(lambda: membership_of(cluster).announced)
        # Perhaps it could not be confirmed meanwhile, and is repeated.
        assert (await asked[0]).status in (200, 504)
        assert (await cluster.api.subscribe("news", user="stays")).status == 200
        sent = await cluster.api.send("x", channel="news")
        assert sent.report["connections"] == 1
        assert await client.recv() == "x"


async def test_records_are_written_anew_every_ttl_duration(redis: RedisServer) -> None:
    async with cluster_at(redis.address, ttl_duration=3.0) as cluster, cluster.client("u"):
        [one] = (await cluster.api.info(user="u"))["connections"]
        records = [f"conn:{one['id']}", f"worker:{one['worker']}"]
        with redis.client() as client:
            for _ in range(2):
                assert [client.persist(key) for key in records] == [True, True]
                await eventually(lambda: all(client.ttl(key) > 0 for key in records))


async def test_a_record_lives_longer_than_until_it_is_written_anew(redis: RedisServer) -> None:
    async with cluster_at(redis.address, ttl_duration=60.0) as cluster, cluster.client("u"):
        [one] = (await cluster.api.info(user="u"))["connections"]
        with redis.client() as client:
            assert 60 < client.ttl(f"worker:{one['worker']}") <= 2 * 60
            assert client.ttl(f"conn:{one['id']}") > 60


async def test_a_record_that_is_due_when_redis_has_forgotten_it_is_not_written_by_itself(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()

    async def held(membership: RedisMembership) -> None:
        if membership is membership_of(cluster):
            reached.set()
        await asyncio.Event().wait()

    async with cluster_at(redis.address) as cluster, cluster.client("u", channels="news"):
        await eventually(lambda: settled_keys(redis))
        worker = cluster.nodes[0].worker
        assert worker
        [connection] = worker.everyone()
        monkeypatch.setattr(RedisMembership, "_announce", held)
        with redis.client() as client:
            client.flushall()
        membership_of(cluster).touched(connection)
        await asyncio.wait_for(reached.wait(), 5)
        # Should it die now, nobody could find what it has written.
        assert not [key for key in keys(redis) if key.startswith("conn:")]


async def test_a_worker_whose_record_is_lost_writes_everything_anew(redis: RedisServer) -> None:
    async with cluster_at(redis.address) as cluster, cluster.client("u", channels="news"):
        await eventually(lambda: settled_keys(redis))
        before = keys(redis)
        worker = cluster.nodes[0].worker
        assert worker
        [connection] = worker.everyone()
        with redis.client() as client:
            # As on a Cluster of which one master was emptied.
            assert client.delete(f"conn:{connection.id}", "channel-workers:news", "user:u") == 3
        membership_of(cluster).touched(connection)
        await eventually(lambda: keys(redis) == before, 5)


async def test_a_subscribe_whose_record_is_lost_is_no_success(redis: RedisServer) -> None:
    async with cluster_at(redis.address) as cluster, cluster.client("u"):
        worker = cluster.nodes[0].worker
        assert worker
        [connection] = worker.everyone()
        with redis.client() as client:
            assert client.delete(f"conn:{connection.id}", "user:u") == 2
        lost = await cluster.api.subscribe("news", user="u")
        assert (lost.status, lost.code) == (504, "WORKER_UNANSWERED")

        async def found() -> bool:
            return (await cluster.api.subscribe("news", user="u")).status == 200

        await eventually(found, 5)
        assert {f"conn:{connection.id}", "user:u", "channel:news"} <= keys(redis)


@asynccontextmanager
async def member_through(proxy: Proxy, lease: float = 10.0) -> AsyncIterator[Member]:
    """A worker on a wire that may break, of which no API knows."""
    settings = Settings(redis_host=proxy.address, redis_timeout=2.0, worker_lease=lease)
    opened = RedisBackend.open(settings, lambda _: None, publishes=False)
    async with opened as backend, member_of(backend) as member:
        yield member


async def written_anew(member: Member) -> None:
    membership = member.membership
    assert isinstance(membership, RedisMembership)
    await eventually(lambda: membership.announced)


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_channel_that_was_left_while_redis_was_out_of_reach_is_left_when_it_is_back(
    redis: RedisServer, leaves: bool
) -> None:
    async with proxy_to(redis.port) as proxy, member_through(proxy) as member:
        line = await member.admit(Line("line", channels={"news": None, "sport": None}))
        proxy.set(there=Faults(lost=True))
        with pytest.raises(Unavailable):
            await member.move(line, "sport", subscribed=False)
        if leaves:
            with pytest.raises(Unavailable):
                await member.drop(line)
        proxy.heal()
        await written_anew(member)
        await eventually(lambda: "channel:sport" not in keys(redis))
        assert ("channel:news" in keys(redis)) is not leaves


async def test_a_channel_that_was_left_in_vain_and_joined_again_has_its_member(
    redis: RedisServer,
) -> None:
    async with proxy_to(redis.port) as proxy, member_through(proxy) as member:
        line = await member.admit(Line("line", channels={"sport": None}))
        proxy.set(there=Faults(lost=True))
        for subscribed in (False, True):
            with pytest.raises(Unavailable):
                await member.move(line, "sport", subscribed)
        proxy.heal()
        await written_anew(member)
        with redis.client() as client:
            assert client.smembers("channel:sport") == {"line"}


async def test_a_worker_that_may_have_been_declared_gone_carries_nothing_out(
    redis: RedisServer,
) -> None:
    letter = Letter(Send(ToUser("user"), MessageType.TEXT, b"x"), "", 0, "")
    async with proxy_to(redis.port) as proxy, member_through(proxy, lease=1.0) as member:
        membership = member.membership
        assert isinstance(membership, RedisMembership)
        assert membership.postbox.take(letter)
        proxy.set(Faults(stalled=True), Faults(stalled=True))
        await eventually(lambda: membership.may_be_gone)
        assert not membership.postbox.take(letter)
        proxy.heal()
        await eventually(lambda: not membership.may_be_gone)
        assert membership.postbox.take(letter)
        assert len(member.recorder.commands) == 2


async def test_a_worker_declared_gone_at_the_moment_it_is_back_carries_nothing_out_as_the_old(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()
    write_anew = Ledger.write_anew

    async def held(ledger: Ledger) -> int:
        reached.set()
        await go_on.wait()
        return await write_anew(ledger)

    async with proxy_to(redis.port) as proxy, member_through(proxy) as member:
        membership = member.membership
        assert isinstance(membership, RedisMembership)
        old, call = membership.id, membership._pipe.call

        def marked_first(*command: str | bytes | int | float, **how: Any) -> Reply:
            if command[:2] == ("EVAL", scripts.BEAT) and command[-2:] == (old, 1):
                call("SET", f"reaped:{old}", 1)
            return call(*command, **how)

        monkeypatch.setattr(membership._pipe, "call", marked_first)
        monkeypatch.setattr(Ledger, "write_anew", held)
        membership.announce_again()
        await asyncio.wait_for(reached.wait(), 5)
        assert membership.id != old
        go_on.set()


async def test_a_worker_that_writes_its_records_for_longer_than_its_lease_is_there_all_the_while(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, go_on = 2.0, asyncio.Event()
    for module, name in ((membership_module, "BEAT"), (watch, "LOOK")):
        monkeypatch.setattr(module, name, 0.1)
    write_anew = Ledger.write_anew

    async def slow(ledger: Ledger) -> int:
        await go_on.wait()
        return await write_anew(ledger)

    gone: list[Event] = []
    settings = Settings(redis_host=redis.address, worker_lease=lease)
    async with (
        RedisBackend.open(settings, gone.append, publishes=False),
        proxy_to(redis.port) as proxy,
        member_through(proxy, lease) as member,
    ):
        membership = member.membership
        assert isinstance(membership, RedisMembership)
        monkeypatch.setattr(Ledger, "write_anew", slow)
        membership.announce_again()
        await eventually(lambda: not membership.announced)
        seen: set[float] = set()
        with redis.client() as client:

            def has_beaten_for_long() -> bool:
                beaten = client.zscore("workers", membership.id)
                assert beaten is not None
                seen.add(float(beaten))
                return max(seen) - min(seen) > 2 * lease and len(seen) > 20

            await eventually(has_beaten_for_long, 20)
        assert not [event for event in gone if isinstance(event, WorkerGone)]
        go_on.set()
        await written_anew(member)
        assert not member.recorder.lost
