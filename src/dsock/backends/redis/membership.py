"""A worker's place in the cluster: it announces itself, and beats to prove that it hears.

A write that fails, or a connection to Redis that is not the same any more, makes the worker
announce itself again: then everything is written anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf
from uuid import uuid4

import structlog

from dsock.backends.base import Held, Recipient
from dsock.backends.redis import moments, scripts
from dsock.backends.redis.calls import Calls
from dsock.backends.redis.claims import Claims
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.ledger import Ledger
from dsock.backends.redis.mailbox import NewMailbox
from dsock.backends.redis.postbox import Postbox
from dsock.backends.redis.reaper import Reaper
from dsock.claim import Claim
from dsock.errors import StartError, Unavailable
from dsock.events import Notify, PayloadDropped
from dsock.wire.codec import encode_probe

BEAT = 1.0
"""Seconds between two beats."""

PATIENCE = 10.0
"""Seconds within which a worker must have announced itself, or it does not start."""

RETRY = 0.1
"""Seconds between two tries to announce."""

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
        pipe: Calls,
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
        self._notify = notify
        self._ledger = Ledger(
            self.id,
            worker,
            pipe=pipe,
            keys=keys,
            life=lives.connection,
            refresh=lives.refresh,
            failed=self.announce_again,
        )
        self.postbox = Postbox(pipe, keys, worker, self, method, notify)
        self._worker_written_at = 0.0
        self._announced_over: tuple[int, int] | None = None
        self._left: asyncio.Future[bool] | None = None
        """Whether all records were removed, once this worker leaves."""
        self._beat_at = -inf
        self._wake = asyncio.Event()
        self._entered = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._mailbox = new_mailbox(self._channels(), self.postbox.receive, self._wake.set)
        self._heard = False

    # --- as the worker sees it -----------------------------------------------------------

    @property
    def ready(self) -> bool:
        return self.announced and not self.may_be_gone and self._mailbox.hears

    @property
    def may_be_gone(self) -> bool:
        """Whether its last beat is so long ago that it may have been declared gone without
        knowing yet: who was logged out meanwhile would still be connected."""
        silent = self._loop.time() - self._beat_at
        return self._entered.is_set() and silent >= self._lives.lease

    @property
    def announced(self) -> bool:
        """Whether Redis has all of this worker, as far as is known: every write has
        succeeded, over connections that have lasted since."""
        return self._announced_over == self._connections()

    async def open_routes(self, connection: Held) -> None:
        # Only asked for: `take` comes after it, and `record` waits.
        self._ledger.open(connection)

    async def take(self, claim: Claim) -> Claim | bool:
        return await self._claims.take(claim, after=self._ledger.opening)

    async def record(self, connection: Held) -> None:
        await self._ledger.record(connection)

    def moved(self, connection: Held, channel: str, subscribed: bool) -> None:
        self._ledger.moved(connection, channel, subscribed)

    def touched(self, connection: Held) -> None:
        self._ledger.touched(connection)

    def forget(self, connection: Held) -> None:
        self._ledger.forget(connection)

    async def settled(self) -> None:
        if self._left is None:
            await self._ledger.settled()
            # What was asked for may have been a repetition of what failed before.
            if self.announced:
                return
        # Once it leaves nobody is connected here any more, and soon no record says so.
        if self._left is None or not await asyncio.shield(self._left):
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
        """A probe has come in. Nobody but this worker sends any there."""
        if self._mailbox.probed(probe):
            self._heard = True
        else:
            self._notify(PayloadDropped())

    async def leave(self) -> None:
        """Remove every record; the subscription ends last. Commands that still come are
        confirmed once nothing is left to find."""
        self._announced_over = None
        self._left = self._loop.create_future()
        try:
            await self._reaper.remove(self.id)
        except Unavailable:
            log.warning("left without removing records: they end with the lease")
            self._left.set_result(False)
        else:
            self._left.set_result(True)
        await self._mailbox.close()

    async def _tick(self) -> None:
        self._mailbox.check()
        if not self._mailbox.hears:
            self._announced_over = None
            return
        if not self.announced:
            await self._announce()
        self._probe()
        if self._heard:
            self._heard = False
            await self._beat()
        self._ledger.tidy_up(self._loop.time(), BEAT)

    def _probe(self) -> None:
        probe = encode_probe(self._mailbox.probe)
        asked = self._pipe.publish(self._keys.mailbox(self.id), probe)
        for call in (asked, *self._pipe.check()):
            self._ledger.track(call, settle=False)

    async def _beat(self) -> None:
        now = self._loop.time()
        if now - self._worker_written_at >= self._lives.refresh:
            await self._write_worker()
        is_marked, is_known = await self._stay(now)
        if is_marked:
            await self._begin_anew()
        elif not is_known:
            self.announce_again()

    async def _stay(self, now: float) -> tuple[bool, bool]:
        """Say that this worker is there; whether it is marked as gone, and among the others."""
        marked = self._pipe.call("EXISTS", self._keys.reaped(self.id))
        known = self._pipe.call("EVAL", scripts.BEAT, 1, self._keys.workers(), self.id, 0)
        is_marked, is_known = await asyncio.gather(marked, known)
        if is_known and not is_marked:
            self._beat_at = now
        return is_marked, is_known

    @asynccontextmanager
    async def _staying(self) -> AsyncIterator[None]:
        """Inside this context, which may last for longer than the lease, it goes on beating as
        long as it hears. What else there is to do about a beat is done after it."""

        async def stay() -> None:
            while True:
                await asyncio.sleep(BEAT)
                self._probe()
                if self._heard:
                    self._heard = False
                    with suppress(Unavailable):
                        await self._stay(self._loop.time())

        task = self._loop.create_task(stay())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def _write_worker(self) -> None:
        self._worker_written_at = self._loop.time()
        life = int(self._lives.worker * 1000)
        fields = ["lastPing", moments.to_text(time.time())]
        if self._address:
            fields += ["ip", self._address]
        key = self._keys.worker(self.id)
        await self._pipe.call("EVAL", scripts.RECORD, 1, key, life, 1, *fields)

    async def _announce(self) -> None:
        """Write everything anew: Redis may be empty, or have what is long gone."""
        if await self._pipe.call("EXISTS", self._keys.reaped(self.id)):
            await self._begin_anew()
            return
        # First of all it takes its place: should it die in the middle, it will be missed.
        began = self._loop.time()
        await self._pipe.call("EVAL", scripts.BEAT, 1, self._keys.workers(), self.id, 1)
        # Before it carries anything out again: it may have been declared gone just now.
        if await self._pipe.call("EXISTS", self._keys.reaped(self.id)):
            await self._begin_anew()
            return
        self._beat_at = began
        over, failures = self._connections(), self._ledger.failures
        async with self._staying():
            connections = await self._ledger.write_anew()
        await self._write_worker()
        if await self._pipe.call("EXISTS", self._keys.reaped(self.id)):
            await self._begin_anew()
            return
        if over != self._connections() or failures != self._ledger.failures:
            return  # Something was missed meanwhile: once more, then.
        self._announced_over = over
        self._entered.set()
        log.info("announced", worker=self.id, connections=connections)

    async def _begin_anew(self) -> None:
        """Declared gone: who was logged out meanwhile must not live on here."""
        log.warning("the lease was lost: closing all clients", worker=self.id)
        self._announced_over = None
        old = self.id
        self._worker.lease_lost()
        self.id = str(uuid4())
        self._ledger.begin_anew(self.id)
        self._beat_at = self._loop.time()
        self._mailbox.rebuild(self._channels())
        await self._reaper.remove(old)

    def _connections(self) -> tuple[int, int]:
        # By how often each was made, one can tell whether it is still the same.
        return self._mailbox.round, self._pipe.connects

    def _channels(self) -> tuple[str, ...]:
        keys = self._keys
        ids = (self.id, keys.everyone()) if keys.shared else (self.id,)
        return tuple(name(id) for id in ids for name in (keys.mailbox, keys.mailbox_of_actions))
