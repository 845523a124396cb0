"""What a worker writes down about itself: presences, routes, and a list of both.

`worker-records:$worker` lists every connection and route before it is written and until it
is removed. So whatever a worker leaves behind can be found and removed, even when the
records themselves have ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from dsock.backends.base import Held
from dsock.backends.redis import moments, scripts
from dsock.backends.redis.calls import Calls, Reply
from dsock.backends.redis.keys import Keys
from dsock.presence import Presence
from dsock.target import Target, ToChannel, ToConnection, ToUser

SLICE = 500
"""Records in one round trip."""


class Listed(NamedTuple):
    """A connection as the list of its worker has it."""

    id: str
    user: str
    session: str | None


def list_entry(connection: Held | Listed) -> str:
    """The member of `worker-records` for a connection."""
    return json.dumps([connection.id, connection.user, connection.session])


def route_entry(target: ToUser | ToChannel) -> str:
    """The member of `worker-records` for a route."""
    return json.dumps({"user": target.user} if isinstance(target, ToUser) else target.channel)


def read_entry(entry: str) -> Listed | ToUser | ToChannel | None:
    """What a member of `worker-records` stands for."""
    try:
        match json.loads(entry):
            case [str(id), str(user), str() | None as session]:
                return Listed(id, user, session)
            case {"user": str(user)}:
                return ToUser(user)
            case str(channel):
                return ToChannel(channel)
    except ValueError:
        pass
    return None


class Records:
    """Reads and writes records; every method but `select` and `routed` only asks, and
    returns the replies to wait for."""

    def __init__(self, pipe: Calls, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys

    def write(
        self,
        worker: str,
        connection: Held,
        life: float,
        after: Iterable[Reply] = (),
        anew: bool = True,
    ) -> Reply:
        """`conn:$id`, which ends after `life` seconds. What is not written `anew` has to be
        there: the reply is 0 when Redis has forgotten it."""
        fields = ["user", connection.user, "workerId", worker]
        fields += ["lastPing", moments.to_text(connection.last_ping)]
        fields += ["channels", ",".join(connection.channels)]
        if connection.session:
            fields += ["session", connection.session]
        key = self._keys.connection(connection.id)
        how = [int(life * 1000), int(anew)]
        return self._pipe.call("EVAL", scripts.RECORD, 1, key, *how, *fields, after=after)

    def enter(self, connection: Held, written: Reply) -> list[Reply]:
        """The id enters the sets of its user, session and channels, after its record was
        written."""
        return [
            self._pipe.call("SADD", key, connection.id, after=(written,))
            for key in self._sets(connection, connection.channels)
        ]

    def move(
        self, worker: str, connection: Held, channel: str, subscribed: bool, life: float
    ) -> tuple[Reply, Reply]:
        """The id enters or leaves the set of one channel. Its record has the channel for
        longer: what it has is removed if the worker dies in between. Returns the reply of the
        record, which is 0 if it was not there, and that of the set."""
        key = self._keys.channel(channel)
        if subscribed:
            written = self.write(worker, connection, life, anew=False)
            return written, self._pipe.call("SADD", key, connection.id, after=(written,))
        left = self.leave(connection, channel)
        return self.write(worker, connection, life, after=(left,), anew=False), left

    def leave(self, connection: Held, channel: str) -> Reply:
        """The id leaves the set of one channel."""
        return self._pipe.call("SREM", self._keys.channel(channel), connection.id)

    def remove(self, connection: Held | Listed, channels: Sequence[str]) -> list[Reply]:
        """The id leaves its sets, and then its record ends."""
        left = [
            self._pipe.call("SREM", key, connection.id) for key in self._sets(connection, channels)
        ]
        ended = self._pipe.call("DEL", self._keys.connection(connection.id), after=left)
        return [*left, ended]

    def enlist(self, worker: str, entries: Sequence[str]) -> Reply:
        """Note what is going to be written."""
        return self._pipe.call("SADD", self._keys.records(worker), *entries)

    def strike_out(self, worker: str, entries: Sequence[str], after: Iterable[Reply] = ()) -> Reply:
        """Strike out what `after` removes, or was removed."""
        return self._pipe.call("SREM", self._keys.records(worker), *entries, after=after)

    def open_route(self, worker: str, target: ToUser | ToChannel, enlisted: Reply) -> Reply:
        return self._pipe.call("SADD", self._keys.route(target), worker, after=(enlisted,))

    def close_route(self, worker: str, target: ToUser | ToChannel) -> Reply:
        return self._pipe.call("SREM", self._keys.route(target), worker)

    async def listed(self, worker: str) -> dict[str, Listed | ToUser | ToChannel]:
        """All that the list of a worker has, by entry."""
        entries = await self._pipe.call("SMEMBERS", self._keys.records(worker))
        read = ((entry, read_entry(entry)) for entry in entries)
        return {entry: found for entry, found in read if found is not None}

    async def remove_listed(
        self,
        worker: str,
        listed: dict[str, Listed | ToUser | ToChannel],
        kept: Callable[[Listed | ToUser | ToChannel], bool] = lambda _: False,
    ) -> None:
        """Remove connections and routes that a worker's list has, but for what is to be `kept` by
        then: a route may be opened while others are removed."""
        routes = [one for one in listed.values() if not isinstance(one, Listed)]
        routed = [one.channel for one in routes if isinstance(one, ToChannel)]
        entries = list(listed)
        for start in range(0, len(entries), SLICE):
            part = entries[start : start + SLICE]
            gone = [one for one in map(listed.__getitem__, part) if isinstance(one, Listed)]
            found = await asyncio.gather(
                *(
                    self._pipe.call("HGET", self._keys.connection(one.id), "channels")
                    for one in gone
                )
            )
            # Without its record one may be in any channel that the worker had.
            lost = [one.id for one, text in zip(gone, found, strict=True) if text is None]
            for first in range(0, len(routed) if lost else 0, SLICE):
                names = routed[first : first + SLICE]
                keys = map(self._keys.channel, names)
                await asyncio.gather(*(self._pipe.call("SREM", key, *lost) for key in keys))
            removed: list[Reply] = []
            for one, text in zip(gone, found, strict=True):
                removed += self.remove(one, [name for name in (text or "").split(",") if name])
                if len(removed) >= SLICE:
                    await asyncio.gather(*removed)
                    removed = []
            await asyncio.gather(*removed)
            # Looked at, closed and struck out in one step, so that nothing opened comes between.
            ended = {entry: listed[entry] for entry in part if not kept(listed[entry])}
            closed = [
                self.close_route(worker, one)
                for one in ended.values()
                if not isinstance(one, Listed)
            ]
            struck = [self.strike_out(worker, list(ended), after=closed)] if ended else []
            await asyncio.gather(*closed, *struck)

    async def select(self, target: Target) -> list[Presence]:
        """The connections of a target that have a record."""
        if isinstance(target, ToConnection):
            ids = [target.id]
        else:
            key = self._keys.connections_of(target)
            ids = sorted(id for id in await self._pipe.call("SMEMBERS", key) if id != "0")
        found = []
        for start in range(0, len(ids), SLICE):
            part = ids[start : start + SLICE]
            replies = await asyncio.gather(
                *(self._pipe.call("HGETALL", self._keys.connection(id)) for id in part)
            )
            found += [_presence(id, reply) for id, reply in zip(part, replies, strict=True)]
        return [one for one in found if one is not None and target.selects(one)]

    async def routed(self, target: Target) -> set[str]:
        """The workers that must be told what concerns a target. Who asked first knows
        first."""
        if isinstance(target, ToConnection):
            key = self._keys.connection(target.id)
            worker = await self._pipe.in_turn(self._pipe.call("HGET", key, "workerId"))
            return {worker} if worker else set()
        found = self._pipe.call("SMEMBERS", self._keys.route(target))
        return set(await self._pipe.in_turn(found))

    def _sets(self, one: Held | Listed, channels: Any) -> list[str]:
        keys = [self._keys.user(one.user)]
        if one.session:
            keys.append(self._keys.user_session(one.user, one.session))
        return keys + [self._keys.channel(channel) for channel in channels]


def _presence(id: str, reply: Sequence[str]) -> Presence | None:
    fields = dict(zip(reply[::2], reply[1::2], strict=True))
    if not fields.get("user") or not fields.get("workerId"):
        return None
    return Presence(
        id=id,
        worker=fields["workerId"],
        user=fields["user"],
        session=fields.get("session") or None,
        channels=tuple(name for name in fields.get("channels", "").split(",") if name),
        last_ping=moments.to_seconds(fields.get("lastPing")),
    )
