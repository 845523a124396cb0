"""What a worker has in Redis: the records of its connections, and its routes.

All writes go through the pipe in the order in which things happen to the worker, so no older
state overtakes a newer one. After a write that failed everything has to be written anew.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from math import ceil

from dsock.backends.base import Held, Recipient
from dsock.backends.redis.calls import Calls, Reply
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.records import Listed, Records, list_entry, route_entry
from dsock.backends.redis.routes import Routes, RouteTarget, routes_of
from dsock.errors import Unavailable
from dsock.target import ToChannel

SLICE = 200
"""Connections that are written anew in one round trip."""


class Ledger:
    """The writes of the worker with this `id`. `life` is how long a connection's record
    lasts without being refreshed, `refresh` how often that is done, both in seconds;
    `failed` is called when a write has failed."""

    def __init__(
        self,
        id: str,
        worker: Recipient,
        *,
        pipe: Calls,
        keys: Keys,
        life: float,
        refresh: float,
        failed: Callable[[], None],
    ) -> None:
        self.failures = 0
        """How many writes have failed so far."""
        self.opening: set[Reply] = set()
        """What is being listed, and routes that are being opened."""
        self._id = id
        self._worker = worker
        self._life = life
        self._refresh = refresh
        self._failed = failed
        self._records = Records(pipe, keys)
        self._routes = Routes(self._records, worker)
        self._recorded: set[str] = set()
        self._listed: set[str] = set()
        self._leaving: dict[str, dict[str, Reply]] = {}
        """By connection, the channels in whose sets its id may still be."""
        self._struck: list[str] = []
        self._removing: list[Reply] = []
        self._unsettled: set[Reply] = set()
        self._touched: dict[str, Held] = {}
        self._to_refresh: list[Held] = []
        self._share = 0
        self._next_refresh = 0.0

    # --- one connection ------------------------------------------------------------------

    def open(self, connection: Held) -> None:
        """List a connection, and open the routes that lead to it."""
        missing = self._routes.missing(routes_of(connection))
        entries = [route_entry(target) for target in missing]
        if connection.id not in self._listed:
            self._listed.add(connection.id)
            entries.append(list_entry(connection))
        if entries:
            enlisted = self._records.enlist(self._id, entries)
            self._routes.open(self._id, missing, enlisted)
            for call in (enlisted, *self._routes.opening(missing)):
                self.opening.add(call)
                self.track(call)

    async def record(self, connection: Held) -> None:
        """Show a connection that was opened; returns when it and its routes are there."""
        if connection.id not in self._listed:
            return  # Forgotten meanwhile: it must not come back.
        self._recorded.add(connection.id)
        calls = self._routes.opening(routes_of(connection))
        calls += self._write(connection)
        await _all(calls)

    def moved(self, connection: Held, channel: str, subscribed: bool) -> None:
        """A connection is in a channel now, or no longer."""
        if subscribed:
            self.open(connection)
        else:
            self._routes.lost((ToChannel(channel),))
        if connection.id in self._recorded:
            moved = self._records.move(self._id, connection, channel, subscribed, self._life)
            renewed, of_channel = moved
            self._track_renewed(renewed)
            self.track(of_channel)
            self._leaving.get(connection.id, {}).pop(channel, None)
            if not subscribed:
                self._leaves(connection, channel, of_channel)

    def touched(self, connection: Held) -> None:
        """The client was heard: to be written when it is time to tidy up."""
        self._touched[connection.id] = connection

    def forget(self, connection: Held) -> None:
        """Remove all of a connection."""
        self._touched.pop(connection.id, None)
        self._routes.lost(routes_of(connection))
        if connection.id in self._recorded:
            self._recorded.discard(connection.id)
            channels = (*connection.channels, *self._leaving.pop(connection.id, ()))
            removing = self._records.remove(connection, channels)
            for call in removing:
                self.track(call)
            self._removing.append(removing[-1])
        if connection.id in self._listed:
            self._listed.discard(connection.id)
            self._struck.append(list_entry(connection))

    # --- all of them ---------------------------------------------------------------------

    async def settled(self) -> None:
        """All that was asked for before now has been written."""
        await _all(tuple(self._unsettled))

    def begin_anew(self, id: str) -> None:
        """What was written was another's: from now on this worker's, of which there is
        nothing yet."""
        self._id = id
        self._struck.clear()
        self._removing.clear()
        self._listed.clear()
        self._recorded.clear()
        self._leaving.clear()
        self._routes.forget()

    async def write_anew(self) -> int:
        """Write everything, and remove what Redis has beside it; returns how many
        connections there are."""
        self._routes.forget()
        everyone = list(self._worker.everyone())
        for start in range(0, len(everyone), SLICE):
            calls: list[Reply] = []
            for connection in everyone[start : start + SLICE]:
                # Some have left while the slices before were written.
                if connection.id in self._listed:
                    self._listed.discard(connection.id)
                    self.open(connection)
                    calls += self._routes.opening(routes_of(connection))
                if connection.id in self._recorded:
                    calls += self._write(connection)
            await _all(calls)
        listed = await self._records.listed(self._id)
        stale = {entry: one for entry, one in listed.items() if not self._is_mine(one)}
        await self._records.remove_listed(self._id, stale, self._is_mine)
        return len(everyone)

    def tidy_up(self, now: float, passed: float) -> None:
        """Refresh as many records as are due after `passed` seconds, close idle routes,
        strike out what is gone."""
        if not self._to_refresh and now >= self._next_refresh:
            self._next_refresh = now + self._refresh
            self._to_refresh = list(self._worker.everyone())
            self._share = ceil(len(self._to_refresh) * passed / self._refresh)
        due, self._to_refresh = self._to_refresh[: self._share], self._to_refresh[self._share :]
        heard, self._touched = self._touched, {}
        for connection in {**heard, **{one.id: one for one in due}}.values():
            if connection.id in self._recorded:
                renewed = self._records.write(self._id, connection, self._life, anew=False)
                self._track_renewed(renewed, settle=False)
        for entry, closed in self._routes.close_idle(self._id).items():
            self._struck.append(entry)
            self._removing.append(closed)
            self.track(closed, settle=False)
        if self._struck:
            struck = self._records.strike_out(self._id, self._struck, after=self._removing)
            self.track(struck, settle=False)
            self._struck, self._removing = [], []

    def track(self, call: Reply, settle: bool = True) -> None:
        """Notice if this call fails; with `settle`, `settled` waits for it."""
        if settle:
            self._unsettled.add(call)
        call.add_done_callback(self._done)

    # --- inside --------------------------------------------------------------------------

    def _track_renewed(self, call: Reply, settle: bool = True) -> None:
        """Notice too if the record was not there: Redis has lost it, and perhaps the list in which
        it could be found. Written by itself it would stay if this worker died now."""
        call.add_done_callback(self._renewed)
        self.track(call, settle)

    def _renewed(self, call: Reply) -> None:
        if not call.cancelled() and call.exception() is None and not call.result():
            self._has_failed()

    def _write(self, connection: Held) -> list[Reply]:
        left = []
        for channel in tuple(self._leaving.get(connection.id, ())):
            # It is not certain that this has happened.
            left.append(self._records.leave(connection, channel))
            self._leaves(connection, channel, left[-1])
        after = (*self.opening, *left)
        written = self._records.write(self._id, connection, self._life, after=after)
        calls = [*left, written, *self._records.enter(connection, written)]
        for call in calls:
            self.track(call)
        return calls

    def _leaves(self, connection: Held, channel: str, left: Reply) -> None:
        """Remember that a connection leaves a channel until it certainly has."""
        self._leaving.setdefault(connection.id, {})[channel] = left
        left.add_done_callback(functools.partial(self._has_left, connection.id, channel))

    def _has_left(self, id: str, channel: str, left: Reply) -> None:
        of_one = self._leaving.get(id, {})
        done = not left.cancelled() and left.exception() is None
        if done and of_one.get(channel) is left:
            del of_one[channel]
            if not of_one:
                del self._leaving[id]

    def _is_mine(self, one: Listed | RouteTarget) -> bool:
        if isinstance(one, Listed):
            return one.id in self._listed
        return one in self._routes

    def _done(self, call: Reply) -> None:
        self._unsettled.discard(call)
        self.opening.discard(call)
        if not call.cancelled() and call.exception() is not None:
            self._has_failed()

    def _has_failed(self) -> None:
        self.failures += 1
        self._failed()


async def _all(calls: Sequence[Reply]) -> None:
    """Wait for all replies; raises `Unavailable` if one is bad."""
    if calls:
        await asyncio.wait(calls)
    for call in calls:
        if call.cancelled():
            raise Unavailable
        call.result()
