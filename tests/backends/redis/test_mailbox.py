"""A subscription that knows whether it hears."""

from __future__ import annotations

import asyncio

import pytest

from dsock.backends.redis import mailbox as module
from tests.backends.redis.conftest import Listener, NewListener
from tests.faults.proxy import Faults, Proxy
from tests.support.eventually import eventually, holds_within
from tests.support.redis_server import RedisServer, free_port

DEAF_AFTER = 0.3


@pytest.fixture
async def listener(proxy: Proxy, new_listener: NewListener) -> Listener:
    listener = new_listener(proxy.address, "a", "b")
    await eventually(lambda: listener.mailbox.hears)
    return listener


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEAF_AFTER", DEAF_AFTER)


def publish(server: RedisServer, channel: str, *payloads: str) -> int:
    """Returns how many have got the last one."""
    with server.client() as client:
        return [int(client.publish(channel, payload)) for payload in payloads][-1]


async def heard_again(server: RedisServer, listener: Listener) -> bool:
    """Whether a probe of its own gets through; looks after the mailbox as its owner does."""
    listener.mailbox.check()
    before = len(listener.received)
    publish(server, "a", listener.mailbox.probe)
    return await holds_within(lambda: len(listener.received) > before, 0.1)


async def test_what_is_published_comes_in_once_and_in_order(
    own_redis: RedisServer, listener: Listener
) -> None:
    numbers = [str(number) for number in range(500)]
    publish(own_redis, "a", *numbers)
    publish(own_redis, "b", "end")
    await eventually(lambda: ("b", b"end") in listener.received)
    assert listener.received == [*(("a", number.encode()) for number in numbers), ("b", b"end")]


async def test_b28_a_subscription_that_was_ended_is_made_anew_and_counted(
    own_redis: RedisServer, listener: Listener
) -> None:
    assert (listener.mailbox.round, listener.subscriptions) == (1, 1)
    with own_redis.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await eventually(lambda: listener.mailbox.round == 2)
    assert listener.subscriptions == 2
    publish(own_redis, "a", "again")
    await eventually(lambda: listener.received == [("a", b"again")])


async def test_b28_a_mailbox_outlives_its_redis(own_redis: RedisServer, listener: Listener) -> None:
    own_redis.kill()
    await eventually(lambda: not listener.mailbox.hears)
    own_redis.start()
    await eventually(lambda: heard_again(own_redis, listener))
    assert listener.mailbox.hears


async def test_a_mailbox_waits_for_a_redis_that_is_not_there_yet(
    own_redis: RedisServer, new_listener: NewListener
) -> None:
    own_redis.kill()
    listener = new_listener(own_redis.address, "a")
    assert not await holds_within(lambda: listener.mailbox.hears, 0.2)
    own_redis.start()
    await eventually(lambda: listener.mailbox.hears)


@pytest.mark.usefixtures("impatient")
async def test_a_mailbox_of_a_frozen_redis_is_given_up_and_is_back_when_it_wakes(
    own_redis: RedisServer, listener: Listener
) -> None:
    own_redis.freeze()
    await eventually(lambda: not listener.mailbox.hears)
    listener.mailbox.check()
    own_redis.thaw()
    await eventually(lambda: heard_again(own_redis, listener))
    assert listener.mailbox.round >= 2


@pytest.mark.usefixtures("impatient")
async def test_a_subscription_that_went_deaf_is_given_up(
    own_redis: RedisServer, listener: Listener, proxy: Proxy
) -> None:
    assert proxy.hush() == 1
    # Redis itself sees nothing wrong.
    assert publish(own_redis, "a", "lost") == 1
    await eventually(lambda: not listener.mailbox.hears)
    await eventually(lambda: heard_again(own_redis, listener))
    assert ("a", b"lost") not in listener.received


async def test_without_the_probe_a_subscription_that_went_deaf_stays_deaf(
    own_redis: RedisServer, listener: Listener, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEAF_AFTER", 3600.0)
    proxy.hush()
    assert not await holds_within(lambda: heard_again(own_redis, listener), 4 * DEAF_AFTER)
    assert listener.mailbox.hears


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("own", [True, False])
async def test_only_a_probe_of_its_own_proves_that_a_mailbox_hears(
    own_redis: RedisServer, listener: Listener, own: bool
) -> None:
    await eventually(lambda: not listener.mailbox.hears)
    publish(own_redis, "a", listener.mailbox.probe if own else "another's")
    await eventually(lambda: len(listener.received) == 1)
    assert listener.heard == [own]


@pytest.mark.usefixtures("impatient")
async def test_who_is_only_behind_with_what_comes_in_is_not_given_up(
    own_redis: RedisServer, listener: Listener, proxy: Proxy
) -> None:
    await eventually(lambda: not listener.mailbox.hears)
    while len(listener.received) < 3:
        publish(own_redis, "a", "another's")
        await listener.more()
        listener.mailbox.check()
    assert listener.mailbox.round == 1
    proxy.hush()
    await eventually(lambda: heard_again(own_redis, listener))
    assert listener.mailbox.round == 2


@pytest.mark.usefixtures("impatient")
async def test_a_subscription_that_takes_long_to_be_made_is_waited_for(
    own_redis: RedisServer, proxy: Proxy, new_listener: NewListener
) -> None:
    proxy.set(back=Faults(latency=2 * DEAF_AFTER))
    listener = new_listener(proxy.address, "a")

    def subscribed() -> bool:
        listener.mailbox.check()
        return listener.mailbox.hears

    await eventually(subscribed)


@pytest.mark.usefixtures("impatient")
async def test_who_asks_when_all_has_stood_still_waits_for_the_subscription_too(
    listener: Listener,
) -> None:
    listener.mailbox._heard_at -= 2 * DEAF_AFTER
    assert not listener.mailbox.hears
    assert await listener.mailbox.hears_soon(10)


async def test_a_mailbox_can_move_to_other_channels(
    own_redis: RedisServer, listener: Listener
) -> None:
    listener.mailbox.rebuild(("c",))
    assert not listener.mailbox.hears
    await eventually(lambda: listener.mailbox.hears)
    await eventually(lambda: publish(own_redis, "a", "old") == 0)
    publish(own_redis, "c", "new")
    await eventually(lambda: listener.received == [("c", b"new")])


async def test_a_closed_mailbox_is_gone_from_redis(
    own_redis: RedisServer, listener: Listener
) -> None:
    await listener.mailbox.close()
    await eventually(lambda: publish(own_redis, "a", "late") == 0)
    assert listener.received == []


async def test_who_asks_while_a_mailbox_subscribes_anew_may_wait_for_it(
    own_redis: RedisServer, proxy: Proxy, listener: Listener
) -> None:
    assert await listener.mailbox.hears_soon(0)
    proxy.port = free_port()
    proxy.cut()
    await eventually(lambda: not listener.mailbox.hears)
    assert not await listener.mailbox.hears_soon(0.1)
    waiting = asyncio.create_task(listener.mailbox.hears_soon(10))
    proxy.port = own_redis.port
    assert await waiting


async def test_one_that_was_heard_is_built_anew_without_a_longer_pause(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE", 60.0)
    for _ in range(12):
        listener.mailbox.rebuild()
        await eventually(lambda: listener.mailbox.hears)
