"""A worker's place in the cluster: what it writes, and the beat that proves it hears.

All writes go through the pipe in the order in which things happen here, so no older state
overtakes a newer one. A write that fails makes the worker announce itself again: then
everything is written anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, inf
from uuid import uuid4

import structlog

from dsock.backends.base import Held, Recipient
from dsock.backends.redis import moments, scripts
from dsock.backends.redis.claims import Claims
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.mailbox import NewMailbox
from dsock.backends.redis.pipe import Pipe
from dsock.backends.redis.postbox import Postbox
from dsock.backends.redis.reaper import Reaper
from dsock.backends.redis.records import Call, Listed, Records, list_entry, route_entry
from dsock.backends.redis.routes import Routes, RouteTarget, routes_of
from dsock.claim import Claim
from dsock.errors import StartError, Unavailable
from dsock.events import Notify
from dsock.target import ToChannel
from dsock.wire.codec import encode_probe

BEAT = 1.0
"""Seconds between two beats."""

PATIENCE = 10.0
"""Seconds within which a worker must have announced itself, or it does not start."""

RETRY = 0.1
"""Seconds between two tries to announce."""

ANNOUNCE_SLICE = 200
"""Connections that are written anew in one round trip."""

log = structlog.stdlib.get_logger("dsock.redis")


@dataclass(frozen=True, slots=True)
class Lives:
    """How long records last without being refreshed, in seconds. A connection's outlives
    its worker's, so that there is something to read when the worker is declared gone."""

    refresh: float
    lease: float

    @property
    def worker(self) -> float:
        return 2 * self.refresh

    @property
    def connection(self) -> float:
        return 3 * self.refresh + 2 * self.lease


class RedisMembership:
    """A `Membership`."""

    def __init__(
        self,
        worker: Recipient,
        *,
        pipe: Pipe,
        keys: Keys,
        claims: Claims,
        reaper: Reaper,
        lives: Lives,
        new_mailbox: NewMailbox,
        method: str,
        address: str,
        notify: Notify,
    ) -> None:
        self.id = str(uuid4())
        self._worker = worker
        self._pipe = pipe
        self._keys = keys
        self._claims = claims
        self._reaper = reaper
        self._lives = lives
        self._address = address
        self._records = Records(pipe, keys)
        self._routes = Routes(self._records, worker)
        self.postbox = Postbox(pipe, keys, worker, self, method, notify)
        self._recorded: set[str] = set()
        self._listed: set[str] = set()
        self._struck: list[str] = []
        self._unsettled: set[Call] = set()
        self._touched: dict[str, Held] = {}
        self._to_refresh: list[Held] = []
        self._share = 0
        self._next_refresh = 0.0
        self._failures = 0
        self._worker_written_at = 0.0
        self._announced_over: tuple[int, int] | None = None
        self._beat_at = -inf
        self._wake = asyncio.Event()
        self._entered = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._mailbox = new_mailbox(self._channels(), self.postbox.receive, self._wake.set)
        self._heard = False

    # --- as the worker sees it -----------------------------------------------------------

    @property
    def ready(self) -> bool:
        # After a pause it may have been declared gone without knowing yet.
        has_lease = self._loop.time() - self._beat_at < self._lives.lease
        return self.announced and has_lease and self._mailbox.hears

    @property
    def announced(self) -> bool:
        """Whether Redis has all of this worker, as far as is known: every write has
        succeeded, over connections that have lasted since."""
        return self._announced_over == self._connections()

    async def open_routes(self, connection: Held) -> None:
        # Only asked for: what comes later in the pipe comes after it, and `record` waits.
        self._open(connection)

    async def take(self, claim: Claim) -> Claim | bool:
        return await self._claims.take(claim)

    async def record(self, connection: Held) -> None:
        if connection.id not in self._listed:
            return  # Forgotten meanwhile: it must not come back.
        self._recorded.add(connection.id)
        calls = self._routes.opening(routes_of(connection))
        calls += self._write(connection)
        await self._all(calls)

    def moved(self, connection: Held, channel: str, subscribed: bool) -> None:
        if subscribed:
            self._open(connection)
        else:
            self._routes.lost((ToChannel(channel),))
        if connection.id in self._recorded:
            self._track(self._records.write(self.id, connection, self._lives.connection))
            self._track(self._records.move(connection, channel, subscribed))

    def touched(self, connection: Held) -> None:
        self._touched[connection.id] = connection

    def forget(self, connection: Held) -> None:
        self._touched.pop(connection.id, None)
        self._routes.lost(routes_of(connection))
        if connection.id in self._recorded:
            self._recorded.discard(connection.id)
            for call in self._records.remove(connection, tuple(connection.channels)):
                self._track(call)
        if connection.id in self._listed:
            self._listed.discard(connection.id)
            self._struck.append(list_entry(connection))

    async def settled(self) -> None:
        await self._all(tuple(self._unsettled))
        # What was asked for may have been a repetition of what failed before.
        if not self.announced:
            raise Unavailable

    # --- life -------------------------------------------------------------------------------

    async def entered(self) -> None:
        """Wait until this worker is announced for the first time. Raises `StartError` when
        it is not within `PATIENCE`."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._entered.wait()
        except TimeoutError:
            why = self._mailbox.trouble or "it does not take the worker's records"
            raise StartError(f"cannot take part through Redis: {why}") from None

    async def run(self) -> None:
        """Announce, beat, refresh and tidy up, until cancelled."""
        while True:
            try:
                await self._tick()
            except Unavailable:
                # The pipe has said so; to be tried again soon.
                self._wake.set()
                await asyncio.sleep(RETRY)
            except Exception:
                log.exception("beat failed")
            if self._mailbox.hears and not self.announced:
                # Something was missed: again at once, but not in a tight circle.
                self._wake.set()
                await asyncio.sleep(RETRY)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), BEAT)
            self._wake.clear()

    def announce_again(self) -> None:
        """Redis may lack something: write everything anew, soon."""
        self._announced_over = None
        self._wake.set()

    def heard_probe(self, probe: str) -> None:
        """A probe has come in."""
        self._heard = self._mailbox.probed(probe) or self._heard

    async def leave(self) -> None:
        """Remove every record; the subscription ends last."""
        self._announced_over = None
        try:
            await self._reaper.remove(self.id)
        except Unavailable:
            log.warning("left without removing records: they end with the lease")
        await self._mailbox.close()

    async def _tick(self) -> None:
        self._mailbox.check()
        if not self._mailbox.hears:
            self._announced_over = None
            return
        if not self.announced:
            await self._announce()
        probe = encode_probe(self._mailbox.probe)
        asked = self._pipe.call("PUBLISH", self._keys.mailbox(self.id), probe, once=True)
        self._track(asked, settle=False)
        if self._heard:
            self._heard = False
            await self._beat()
        self._tidy_up()

    async def _beat(self) -> None:
        now = self._loop.time()
        marked = self._pipe.call("EXISTS", self._keys.reaped(self.id))
        known = self._pipe.call("EVAL", scripts.BEAT, 1, self._keys.workers(), self.id, 0)
        if now - self._worker_written_at >= self._lives.refresh:
            await self._write_worker()
        is_marked, is_known = await asyncio.gather(marked, known)
        if is_marked:
            await self._begin_anew()
        elif is_known:
            self._beat_at = now
        else:
            self.announce_again()

    async def _write_worker(self) -> None:
        self._worker_written_at = self._loop.time()
        life = int(self._lives.worker * 1000)
        fields = ["lastPing", moments.to_text(time.time())]
        if self._address:
            fields += ["ip", self._address]
        key = self._keys.worker(self.id)
        await self._pipe.call("EVAL", scripts.RECORD, 1, key, life, *fields)

    async def _announce(self) -> None:
        """Write everything anew: Redis may be empty, or have what is long gone."""
        if await self._pipe.call("EXISTS", self._keys.reaped(self.id)):
            await self._begin_anew()
            return
        # First of all it takes its place: should it die in the middle, it will be missed.
        now = self._loop.time()
        await self._pipe.call("EVAL", scripts.BEAT, 1, self._keys.workers(), self.id, 1)
        over, failures = self._connections(), self._failures
        self._routes.forget()
        everyone = list(self._worker.everyone())
        for start in range(0, len(everyone), ANNOUNCE_SLICE):
            calls: list[Call] = []
            for connection in everyone[start : start + ANNOUNCE_SLICE]:
                # Some have left while the slices before were written.
                if connection.id in self._listed:
                    self._listed.discard(connection.id)
                    self._open(connection)
                    calls += self._routes.opening(routes_of(connection))
                if connection.id in self._recorded:
                    calls += self._write(connection)
            await self._all(calls)
        listed = await self._records.listed(self.id)
        stale = {entry: one for entry, one in listed.items() if not self._is_mine(one)}
        await self._records.remove_listed(self.id, stale)
        await self._write_worker()
        if await self._pipe.call("EXISTS", self._keys.reaped(self.id)):
            await self._begin_anew()
            return
        if over != self._connections() or failures != self._failures:
            return  # Something was missed meanwhile: once more, then.
        self._announced_over = over
        self._beat_at = now
        self._entered.set()
        log.info("announced", worker=self.id, connections=len(everyone))

    async def _begin_anew(self) -> None:
        """Declared gone: who was logged out meanwhile must not live on here."""
        log.warning("the lease was lost: closing all clients", worker=self.id)
        self._announced_over = None
        old = self.id
        self._worker.lease_lost()
        self.id = str(uuid4())
        self._struck.clear()
        self._listed.clear()
        self._recorded.clear()
        self._routes.forget()
        self._mailbox.rebuild(self._channels())
        await self._reaper.remove(old)

    def _is_mine(self, one: Listed | RouteTarget) -> bool:
        if isinstance(one, Listed):
            return one.id in self._listed
        return one in self._routes

    # --- writing --------------------------------------------------------------------------------

    def _open(self, connection: Held) -> None:
        missing = self._routes.missing(routes_of(connection))
        entries = [route_entry(target) for target in missing]
        if connection.id not in self._listed:
            self._listed.add(connection.id)
            entries.append(list_entry(connection))
        if entries:
            self._track(self._records.enlist(self.id, entries))
            self._routes.open(self.id, missing)
            for call in self._routes.opening(missing):
                self._track(call)

    def _write(self, connection: Held) -> list[Call]:
        calls = [
            self._records.write(self.id, connection, self._lives.connection),
            *self._records.enter(connection),
        ]
        for call in calls:
            self._track(call)
        return calls

    def _tidy_up(self) -> None:
        """Refresh a part of the records, close idle routes, strike out what is gone."""
        now = self._loop.time()
        if not self._to_refresh and now >= self._next_refresh:
            self._next_refresh = now + self._lives.refresh
            self._to_refresh = list(self._worker.everyone())
            self._share = ceil(len(self._to_refresh) * BEAT / self._lives.refresh)
        due, self._to_refresh = self._to_refresh[: self._share], self._to_refresh[self._share :]
        heard, self._touched = self._touched, {}
        for connection in {**heard, **{one.id: one for one in due}}.values():
            if connection.id in self._recorded:
                call = self._records.write(self.id, connection, self._lives.connection)
                self._track(call, settle=False)
        for entry, closed in self._routes.close_idle(self.id).items():
            self._struck.append(entry)
            self._track(closed, settle=False)
        if self._struck:
            self._track(self._records.strike_out(self.id, self._struck), settle=False)
            self._struck = []

    def _track(self, call: Call, settle: bool = True) -> None:
        if settle:
            self._unsettled.add(call)
        call.add_done_callback(self._done)

    def _done(self, call: Call) -> None:
        self._unsettled.discard(call)
        if not call.cancelled() and call.exception() is not None:
            self._failures += 1
            self.announce_again()

    async def _all(self, calls: Sequence[Call]) -> None:
        """Wait for all replies; raises `Unavailable` if one is bad."""
        if calls:
            await asyncio.wait(calls)
        for call in calls:
            if call.cancelled():
                raise Unavailable
            call.result()

    def _connections(self) -> tuple[int, int]:
        # By how often each was made, one can tell whether it is still the same.
        return self._mailbox.round, self._pipe.connects

    def _channels(self) -> tuple[str, ...]:
        keys = self._keys
        return (
            keys.mailbox(self.id),
            keys.mailbox_of_actions(self.id),
            keys.mailbox(keys.everyone()),
            keys.mailbox_of_actions(keys.everyone()),
        )
