"""The checker finds, in what a real system under load did, each bug that is planted there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dsock.backends.redis.backend import RedisBackend
from dsock.backends.redis.claims import Claims
from dsock.backends.redis.ledger import Ledger as Records
from dsock.claim import Claim
from dsock.close import Goodbye
from dsock.command import Command, Disconnect
from dsock.errors import Unavailable
from dsock.presence import Info
from dsock.report import Outcome, Report
from dsock.target import Target, ToUser
from dsock.worker.connection import Connection
from dsock.worker.frames import Frames
from dsock.worker.outgoing import Outgoing
from dsock.worker.registry import Registry
from dsock.worker.worker import Worker
from tests.faults.history import breaches
from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.support.cluster import redis_cluster
from tests.support.eventually import eventually, holds_within
from tests.support.redis_server import RedisServer

ENOUGH = 150
"""Messages that are sent at least."""

LOGOUTS, LOOKS = 6, 30
"""As many at least where they are what is broken: some find nobody."""

PATIENCE, TIDY_WITHIN = 60.0, 3.0
"""Seconds."""

Put = Callable[[Outgoing, Frames, Sequence[Connection]], Outcome]


async def used(redis: RedisServer, kind: str = "") -> Ledger:
    """What was seen of a system in which nothing is broken, but for what is planted: enough
    that a bug of this kind shows."""
    ledger = Ledger()
    async with redis_cluster(redis) as cluster:
        load = Load(ledger, cluster.apis, cluster.workers)
        async with load.running():
            await eventually(lambda: seen_enough(ledger, kind), PATIENCE)
        await holds_within(lambda: not records(redis), TIDY_WITHIN)
        ledger.keys = records(redis)
    return ledger


def seen_enough(ledger: Ledger, kind: str) -> bool:
    claims = [client.claim for client in ledger.clients if client.claim]
    is_shown = {
        "admission": len(claims) > len(set(claims)),
        "ghost": len(ledger.disconnected) >= LOGOUTS,
        "unseen": len(ledger.shown) >= LOOKS,
    }
    return is_shown.get(kind, True) and len(ledger.sent) >= ENOUGH and len(ledger.disconnected) >= 2


def records(redis: RedisServer) -> set[str]:
    """Those of connections."""
    present = redis.keys()
    return {key for key in present if key.startswith("conn:")}


def every(count: int) -> Callable[[], bool]:
    """Says yes once in so many times."""
    times = 0

    def now() -> bool:
        nonlocal times
        times += 1
        return times % count == 0

    return now


def plant_loss(patch: pytest.MonkeyPatch) -> None:
    put, now = Outgoing.put, every(20)

    def losing(self: Outgoing, frames: Frames, to: Sequence[Connection]) -> Outcome:
        return Outcome(len(to), 0) if now() else put(self, frames, to)

    patch.setattr(Outgoing, "put", losing)


def plant_oblivion(patch: pytest.MonkeyPatch) -> None:
    put, now = Outgoing.put, every(20)

    def forgetting(self: Outgoing, frames: Frames, to: Sequence[Connection]) -> Outcome:
        return Outcome(0, 0) if now() else put(self, frames, to)

    patch.setattr(Outgoing, "put", forgetting)


def plant_double(patch: pytest.MonkeyPatch) -> None:
    put, now = Outgoing.put, every(20)

    def doubling(self: Outgoing, frames: Frames, to: Sequence[Connection]) -> Outcome:
        if now():
            put(self, frames, to)
        return put(self, frames, to)

    patch.setattr(Outgoing, "put", doubling)


def plant_inversion(patch: pytest.MonkeyPatch) -> None:
    put, now = Outgoing.put, every(20)
    late: list[tuple[Outgoing, Frames, Sequence[Connection]]] = []

    def swapping(self: Outgoing, frames: Frames, to: Sequence[Connection]) -> Outcome:
        if now():
            late.append((self, frames, to))
            return Outcome(len(to), 0)
        outcome = put(self, frames, to)
        if len(late) > 3:
            put(*late.pop(0))
        return outcome

    patch.setattr(Outgoing, "put", swapping)


def plant_stranger(patch: pytest.MonkeyPatch) -> None:
    select = Registry.select

    def to_all_of_the_user(self: Registry[Any], target: Target) -> Any:
        if isinstance(target, ToUser) and target.session:
            return select(self, ToUser(target.user))
        return select(self, target)

    patch.setattr(Registry, "select", to_all_of_the_user)


def plant_ghost(patch: pytest.MonkeyPatch) -> None:
    submit = Worker.submit

    def deaf_to_logouts(self: Worker, command: Command, answered: Any) -> None:
        if isinstance(command, Disconnect):
            answered(Outcome(1, 0))
        else:
            submit(self, command, answered)

    patch.setattr(Worker, "submit", deaf_to_logouts)


def plant_leak(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Records, "forget", lambda *_: None)


def plant_admission(patch: pytest.MonkeyPatch) -> None:
    async def admitting_all(self: Claims, claim: Claim, after: Any) -> bool:
        return True

    patch.setattr(Claims, "take", admitting_all)


def plant_failure(patch: pytest.MonkeyPatch) -> None:
    publish, now = RedisBackend.publish, every(20)

    async def failing(self: RedisBackend, command: Command, wait: bool = True) -> Report:
        if now():
            raise Unavailable
        return await publish(self, command, wait)

    patch.setattr(RedisBackend, "publish", failing)


def plant_blindness(patch: pytest.MonkeyPatch) -> None:
    info, now = RedisBackend.info, every(3)

    async def overlooking(self: RedisBackend, target: Target) -> Info:
        found = await info(self, target)
        return found._replace(connections=[]) if now() else found

    patch.setattr(RedisBackend, "info", overlooking)


def plant_hangup(patch: pytest.MonkeyPatch) -> None:
    put, now = Outgoing.put, every(20)

    def hanging_up(self: Outgoing, frames: Frames, to: Sequence[Connection]) -> Outcome:
        outcome = put(self, frames, to)
        if to and now():
            to[0].close(Goodbye.FAILED)
        return outcome

    patch.setattr(Outgoing, "put", hanging_up)


PLANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "admission": plant_admission,
    "lost": plant_loss,
    "untold": plant_oblivion,
    "double": plant_double,
    "inversion": plant_inversion,
    "stranger": plant_stranger,
    "ghost": plant_ghost,
    "key": plant_leak,
    "failure": plant_failure,
    "unseen": plant_blindness,
    "hangup": plant_hangup,
}


async def test_a_system_that_works_keeps_all_promises(redis: RedisServer) -> None:
    ledger = await used(redis)
    assert breaches(ledger) == []
    assert sum(len(client.received) for client in ledger.clients) > ENOUGH


@pytest.mark.parametrize("kind", PLANTS)
async def test_a_bug_that_is_planted_is_found(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    PLANTS[kind](monkeypatch)
    assert kind in {breach.kind for breach in breaches(await used(redis, kind))}
