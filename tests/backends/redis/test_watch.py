"""Who counts as alive, who as gone, and when routes cannot be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from math import ceil

import pytest

from dsock.backends.redis import watch as module
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.pipe import Pipe
from dsock.backends.redis.reaper import Reaper
from dsock.backends.redis.watch import Watch
from dsock.events import Event, WorkerGone
from tests.backends.redis.conftest import NewPipe
from tests.support.eventually import eventually, holds_within
from tests.support.redis_server import RedisServer

LOOK = 0.05
LEASE = 0.6
KEYS = Keys()


@dataclass
class Watching:
    """A watch that runs, with its own pipe."""

    watch: Watch
    pipe: Pipe
    events: list[Event] = field(default_factory=list)

    def gone(self) -> set[str]:
        return {event.worker for event in self.events if isinstance(event, WorkerGone)}

    @contextmanager
    def running(self) -> Iterator[None]:
        task = asyncio.create_task(self.watch.run())
        try:
            yield
        finally:
            task.cancel()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", LOOK)


def watch_of(
    server: RedisServer, new_pipe: NewPipe, timeout: float = 5.0, lease: float = LEASE
) -> Watching:
    pipe = new_pipe(server.address, timeout=timeout)
    events: list[Event] = []
    watch = Watch(pipe, KEYS, Reaper(pipe, KEYS), lease, events.append)
    return Watching(watch, pipe, events)


@pytest.fixture
async def watching(own_redis: RedisServer, new_pipe: NewPipe) -> AsyncIterator[Watching]:
    watching = watch_of(own_redis, new_pipe, timeout=0.2)
    with watching.running():
        yield watching


def beat(server: RedisServer, worker: str, at: float = 1.0) -> None:
    with server.client() as client:
        client.zadd(KEYS.workers(), {worker: at})


def left(server: RedisServer) -> set[str]:
    """All keys but what nodes leave for themselves."""
    present = server.keys()
    return {key for key in present if not key.startswith(KEYS.memory(""))}


def lose_all(server: RedisServer, how: str) -> None:
    if how == "emptied":
        server.empty()
    else:
        server.kill()
        server.start()


by_every_loss = pytest.mark.parametrize("how", ["restarted", "emptied"])


async def test_who_has_left_in_good_order_is_not_among_the_workers_any_more(
    own_redis: RedisServer, new_pipe: NewPipe
) -> None:
    watching = watch_of(own_redis, new_pipe, lease=3600)
    with watching.running(), own_redis.client() as client:
        client.sadd(KEYS.records("w"), '["c", "u", null]')
        beat(own_redis, "w")
        await eventually(lambda: watching.watch.workers == {"w"})
        client.delete(KEYS.records("w"))
        client.zrem(KEYS.workers(), "w")
        await eventually(lambda: watching.watch.workers == set())
    assert watching.gone() == set()


async def test_who_is_silent_for_its_lease_is_declared_gone_and_its_records_removed(
    own_redis: RedisServer, watching: Watching
) -> None:
    with own_redis.client() as client:
        client.sadd(KEYS.records("w"), '["c", "u", null]', '{"user": "u"}')
        client.sadd("user:u", "c")
        client.sadd("user-workers:u", "w")
        client.hset("conn:c", mapping={"user": "u", "workerId": "w"})
    beat(own_redis, "w")
    await eventually(lambda: watching.watch.workers == {"w"})
    assert await eventually(lambda: watching.gone() == {"w"}) > LEASE / 2
    assert left(own_redis) == {KEYS.reaped("w")}
    assert watching.watch.workers == set()


async def test_while_a_large_worker_is_removed_the_others_are_still_looked_at(
    own_redis: RedisServer, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    remove = Reaper.remove

    async def long(reaper: Reaper, worker: str) -> None:
        began.set()
        await go_on.wait()
        await remove(reaper, worker)

    monkeypatch.setattr(Reaper, "remove", long)
    beat(own_redis, "large")
    await asyncio.wait_for(began.wait(), 5)
    for count in range(2, 5):
        beat(own_redis, f"worker {count}")
        await eventually(partial(knows, watching, count))
    assert watching.gone() == set()
    go_on.set()
    await eventually(lambda: "large" in watching.gone())


def knows(watching: Watching, count: int) -> bool:
    return len(watching.watch.workers) == count


async def test_who_beats_stays_whatever_its_clock_says(
    own_redis: RedisServer, watching: Watching
) -> None:
    beats = iter(range(10**6, 0, -1))

    def gone() -> bool:
        beat(own_redis, "w", next(beats))
        return bool(watching.gone())

    await eventually(lambda: (gone(), watching.watch.workers == {"w"})[1])
    assert not await holds_within(gone, 2 * LEASE)
    assert watching.watch.workers == {"w"}


async def test_silence_counts_only_while_the_watch_itself_reaches_redis(
    own_redis: RedisServer, watching: Watching
) -> None:
    beat(own_redis, "w")
    await eventually(lambda: watching.watch.workers == {"w"})
    own_redis.freeze()
    await eventually(lambda: not watching.pipe.reached)
    # Longer than the lease, as the wall has it.
    assert not await holds_within(lambda: watching.watch.workers != {"w"}, 1.5 * LEASE)
    own_redis.thaw()
    assert await eventually(lambda: watching.gone() == {"w"}) > LEASE / 3


async def test_time_in_which_redis_let_a_look_wait_is_nobodys_silence(
    own_redis: RedisServer, new_pipe: NewPipe
) -> None:
    pipe, events = new_pipe(own_redis.address), list[Event]()
    watch = Watch(pipe, KEYS, Reaper(pipe, KEYS), LEASE, events.append)
    beat(own_redis, "w")
    await watch.look()
    for _ in range(ceil(LEASE / LOOK)):
        own_redis.freeze()
        look = asyncio.create_task(watch.look())
        assert not await holds_within(look.done, 2 * LOOK)
        own_redis.thaw()
        await look
    assert watch.workers == {"w"}
    assert events == []


async def test_one_look_that_comes_late_is_not_enough_to_declare_a_worker_gone(
    own_redis: RedisServer, new_pipe: NewPipe
) -> None:
    pipe, events = new_pipe(own_redis.address), list[Event]()
    watch = Watch(pipe, KEYS, Reaper(pipe, KEYS), LOOK, events.append)
    beat(own_redis, "w")
    for number in range(20):
        await watch.look()
        # The machine stands still for longer than the lease; then this looks before it beats.
        assert not await holds_within(lambda: bool(events), 2 * LOOK)
        await watch.look()
        beat(own_redis, "w", 2.0 + number)
    assert watch.workers == {"w"}
    await watch.look()
    for _ in range(2):
        assert not await holds_within(lambda: bool(events), 2 * LOOK)
        await watch.look()
    await eventually(lambda: events == [WorkerGone("w")])


@by_every_loss
async def test_a_worker_that_redis_forgot_has_its_lease_to_come_back(
    own_redis: RedisServer, watching: Watching, how: str
) -> None:
    beat(own_redis, "w")
    await eventually(lambda: watching.watch.workers == {"w"})
    lose_all(own_redis, how)
    assert not await holds_within(lambda: watching.watch.workers != {"w"}, LEASE / 2)
    beat(own_redis, "w", 2.0)
    assert not await holds_within(lambda: watching.watch.workers != {"w"}, LEASE / 2)


@by_every_loss
async def test_a_worker_that_redis_forgot_and_that_stays_away_is_declared_gone(
    own_redis: RedisServer, watching: Watching, how: str
) -> None:
    beat(own_redis, "w")
    await eventually(lambda: watching.watch.workers == {"w"})
    lose_all(own_redis, how)
    await eventually(lambda: watching.watch.workers == set())
    # Should it return, it must know: who was logged out meanwhile may still be on it.
    assert left(own_redis) == {KEYS.reaped("w")}


@by_every_loss
async def test_who_was_declared_gone_still_finds_out_when_redis_has_forgotten_it(
    own_redis: RedisServer, watching: Watching, how: str
) -> None:
    beat(own_redis, "w")
    await eventually(lambda: watching.gone() == {"w"})
    lose_all(own_redis, how)
    await eventually(lambda: left(own_redis) == {KEYS.reaped("w")})


async def test_a_redis_that_took_no_writes_says_nothing_about_who_is_alive(
    own_redis: RedisServer, watching: Watching
) -> None:
    beat(own_redis, "w")
    await eventually(lambda: watching.watch.workers == {"w"})
    with own_redis.client() as client:
        client.config_set("maxmemory", 1)
        assert not await holds_within(lambda: watching.watch.workers != {"w"}, 2 * LEASE)
        client.config_set("maxmemory", 0)
    # Now it can beat again; it may take it a moment.
    assert not await holds_within(lambda: bool(watching.gone()), LEASE / 2)


@pytest.mark.parametrize("fresh", [True, False])
async def test_routes_are_in_doubt_while_redis_is_fresh(
    request: pytest.FixtureRequest, new_pipe: NewPipe, fresh: bool
) -> None:
    server = request.getfixturevalue("own_redis" if fresh else "redis")
    watching = watch_of(server, new_pipe)
    await watching.watch.look()
    assert await watching.watch.in_doubt() is fresh


@pytest.mark.parametrize("restarts", [True, False])
async def test_routes_are_in_doubt_for_a_while_after_redis_was_reached_again(
    request: pytest.FixtureRequest,
    new_pipe: NewPipe,
    monkeypatch: pytest.MonkeyPatch,
    restarts: bool,
) -> None:
    monkeypatch.setattr(module, "DOUBT", 0.5)
    server: RedisServer = request.getfixturevalue("own_redis" if restarts else "redis")
    watching = watch_of(server, new_pipe)
    await watching.watch.look()
    await eventually(lambda: trusted(watching))
    if restarts:
        server.kill()
        server.start()
    else:
        with server.client() as client, suppress(ConnectionError):
            client.execute_command("CLIENT", "KILL", "TYPE", "normal")
    await watching.pipe.call("PING")
    assert await watching.watch.in_doubt()
    await eventually(lambda: trusted(watching))


async def test_routes_are_in_doubt_for_a_while_after_redis_was_emptied(
    own_redis: RedisServer, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DOUBT", 3.0)
    # Before the first look there is nothing that Redis could forget.
    await eventually(lambda: watching.watch.sees)
    await eventually(lambda: trusted(watching))
    own_redis.empty()
    await eventually(lambda: doubted(watching))
    await eventually(lambda: trusted(watching))


async def doubted(watching: Watching) -> bool:
    return await watching.watch.in_doubt()


async def trusted(watching: Watching) -> bool:
    return not await watching.watch.in_doubt()
