"""What somebody writes to our channels of Redis who is none of us: dropped and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

import pytest
import pytest_asyncio

from dsock.command import Disconnect, MessageType, Send
from dsock.report import Outcome
from dsock.target import ToUser
from dsock.wire.codec import Answers, Letter, encode, encode_answers, encode_probe
from tests.attacks.support import BUDGET, MB, Bystander, Memory, Pinger, Victim
from tests.support.eventually import eventually
from tests.support.process import process
from tests.support.redis_server import RedisServer
from tests.support.wire import dial

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNREADABLE = "dsock_unreadable_payloads_total"

FLOOD, BURST = 50_000, 10_000
"""Payloads, and how many of them come at once."""

PUBLISH = "for i = 1, tonumber(ARGV[2]) do redis.call('PUBLISH', KEYS[1], ARGV[1]) end"
"""As fast as Redis can."""

BOUND = 24 * MB
"""By how much a flood of them may make a node grow; redis-py's buffers are most of it."""


class Channels(NamedTuple):
    """Where a worker and an API node listen."""

    redis: RedisServer
    mailbox: str
    actions: str
    replies: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis() -> AsyncIterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim(redis: RedisServer) -> AsyncIterator[Victim]:
    """An API and a worker, each a process."""
    options = {"redis_host": redis.address, "ping_interval": "1h"}
    async with AsyncExitStack() as stack:
        start = stack.enter_async_context
        worker, api = (
            await start(process("worker", **options)),
            await start(process("api", **options)),
        )
        victim = Victim(api, worker, await api.listening(), await worker.listening())
        await start(victim.api.http)
        yield victim


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channels(redis: RedisServer, victim: Victim) -> Channels:
    with redis.client() as client:
        [id] = client.zrange("workers", 0, -1)
        [replies] = client.pubsub_channels("replies:*")
    return Channels(redis, str(id), f"{id}:channel", str(replies))


def publish(channels: Channels, channel: str, payload: bytes, times: int = 1) -> None:
    """As somebody who may write to this Redis."""
    with channels.redis.client() as client:
        pipeline = client.pipeline(transaction=False)
        for _ in range(times):
            pipeline.publish(channel, payload)
        assert pipeline.execute() == [1] * times


HELLO = Send(ToUser("bystander"), MessageType.TEXT, b"forged")
ANSWERS = encode_answers(Answers("nobody", [(number, Outcome(1, 0)) for number in range(1000)]))

FORGED = {
    "nothing": b"",
    "noise": bytes(range(256)),
    "8 MiB of nothing": bytes(8 * MB),
    "8 MiB of noise": b"\xff" * 8 * MB,
    "the beginning of a message": encode(Letter(HELLO))[:-3],
    "answers": ANSWERS,
    "another's probe": encode_probe("0" * 32),
    "fields without end": b"\x0a\x00" * MB,
    "nested without end": b"\x1a\x7f" * MB,
}


@pytest.mark.parametrize("payload", FORGED.values(), ids=FORGED)
async def test_what_is_no_command_is_dropped_and_counted(
    victim: Victim, by: Bystander, channels: Channels, payload: bytes
) -> None:
    for role, channel in (
        ("worker", channels.mailbox),
        ("worker", channels.actions),
        ("api", channels.replies),
    ):
        before = await victim.count(UNREADABLE, role)
        publish(channels, channel, payload)

        async def counted(role: str = role, before: float = before) -> bool:
            return await victim.count(UNREADABLE, role) == before + 1

        # Answers may come too late: that nobody waits for them is nothing to be counted.
        if role == "worker" or payload != ANSWERS:
            await eventually(counted)
        await by.round()


async def test_answers_that_nobody_asked_for_change_no_report(
    victim: Victim, by: Bystander, channels: Channels
) -> None:
    # The API gives its commands numbers in a row: these are none of them.
    numbers = [0, 2**63, 2**64 - 1, *range(10**9, 10**9 + 1000)]
    forged = encode_answers(Answers("nobody", [(one, Outcome(2**31, 7)) for one in numbers]))
    for _ in range(20):
        publish(channels, channels.replies, forged)
        report = (await victim.api.send("still there?", user="bystander")).report
        assert report == {"workers": 1, "connections": 1, "dropped": 0, "unanswered": 0}
        await by.next()


async def test_a_command_that_asks_for_answers_elsewhere_harms_no_other(
    victim: Victim, by: Bystander, channels: Channels
) -> None:
    # A worker answers wherever it is told to: to itself, to nobody, to a name without end.
    for reply_to in (channels.mailbox, channels.actions, "nobody", "x" * 100_000, "*"):
        publish(
            channels, channels.mailbox, encode(Letter(Disconnect(ToUser("nobody")), reply_to, 1))
        )
        await by.round()


@pytest.mark.parametrize("role", ["worker", "api"])
async def test_a_flood_of_forgeries_is_counted_and_does_not_hold_a_node(
    victim: Victim, by: Bystander, channels: Channels, role: str
) -> None:
    # A command waits behind what came before it in the same mailbox; nothing else does.
    before, memory = await victim.count(UNREADABLE, role), Memory(victim.processes[role].pid)
    channel = channels.mailbox if role == "worker" else channels.replies

    async def counted(forgeries: int) -> bool:
        return await victim.count(UNREADABLE, role) == before + forgeries

    async def attack() -> None:
        with channels.redis.client() as client:
            for sent in range(BURST, FLOOD + 1, BURST):
                # Its probe waits behind them, too: more at once would be a mailbox that is lost.
                await asyncio.to_thread(client.eval, PUBLISH, 1, channel, b"\xff" * 16, BURST)
                await eventually(partial(counted, sent), within=30.0)

    async with dial(victim.addresses[role]) as wire:
        pinger = Pinger(wire, victim.processes[role].pid)
        assert await pinger.p99_during(attack()) < BUDGET
    assert memory.grown < BOUND
    await by.round()
