"""A stand-in for a Go dSock API with `messaging_method=redis`.

It writes what that API writes and reads what it reads, by the documented keys, channels and
field numbers, its known mistakes included. It uses nothing of ours.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from tests.migration import protobuf
from tests.migration.protobuf import BINARY, DISCONNECT, SUBSCRIBE, TEXT, UNSUBSCRIBE
from tests.support.redis_server import RedisServer

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def go_time(moment: datetime, nanoseconds: str = "") -> str:
    """A time as Go formats it: RFC 3339, `Z` for no offset; perhaps with nanoseconds."""
    text = moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    return f"{text[:19]}{nanoseconds}{text[19:]}"


def go_parse(text: str) -> float:
    """Seconds from epoch, if Go could read it as RFC 3339."""
    assert _RFC3339.fullmatch(text), text
    return datetime.fromisoformat(text).timestamp()


class Seen(NamedTuple):
    """What `/info` of the Go API would tell."""

    connections: dict[str, dict[str, Any]]
    claims: dict[str, dict[str, Any]]


class GoApi:
    """Selectors are `id`, `user`, `session`, `channel`, any number of them."""

    def __init__(self, server: RedisServer) -> None:
        # Typed by nobody: redis-py's own types mix bytes and text.
        self.redis: Any = server.client()

    def close(self) -> None:
        self.redis.close()

    # --- calls ---------------------------------------------------------------------------

    def claim(
        self,
        user: str,
        session: str = "",
        channels: str = "",
        *,
        id: str = "",
        seconds: int = 60,
        zone: tzinfo = UTC,
        nanoseconds: str = "",
    ) -> str:
        """Make a claim, and give its id."""
        id = id or secrets.token_hex(16)
        ends = datetime.now(zone) + timedelta(seconds=seconds)
        claim = {"user": user, "expiration": go_time(ends, nanoseconds)}
        if session:
            claim["session"] = session
        if channels:
            claim["channels"] = channels
        self.redis.hset(f"claim:{id}", mapping=claim)
        self.redis.expireat(f"claim:{id}", int(ends.timestamp()))
        # The zero is a mistake that it makes with every claim.
        self.redis.sadd(f"claim-user:{user}", id, 0)
        if session:
            self.redis.sadd(f"claim-user-session:{user}-{session}", id, 0)
        for channel in filter(None, channels.split(",")):
            self.redis.sadd(f"claim-channel:{channel}", id, 0)
        return id

    def send(self, body: str | bytes, **target: str) -> int:
        """Send text or bytes; gives how many workers were told."""
        type, content = (TEXT, body.encode()) if isinstance(body, str) else (BINARY, body)
        return self._tell(target, "", protobuf.message(type, content, target))

    def disconnect(self, keep_claims: str = "", **target: str) -> int:
        # It resolves first and deletes then: the race in it is its own.
        workers = self.workers_of(target)
        if keep_claims != "true" and (ids := self.claims_of(target)):
            user, session = target.get("user", ""), target.get("session")
            self.redis.srem(f"claim-user:{user}", *ids)
            if session:
                self.redis.srem(f"claim-user-session:{user}-{session}", *ids)
            if channel := target.get("channel"):
                self.redis.srem(f"claim-channel:{channel}", *ids)
            self.redis.delete(*(f"claim:{id}" for id in ids))
        return self._publish(workers, "", protobuf.message(DISCONNECT, b"", target))

    def subscribe(self, name: str, /, ignore_claims: str = "", **target: str) -> int:
        return self._move(name, SUBSCRIBE, ignore_claims, target)

    def unsubscribe(self, name: str, /, ignore_claims: str = "", **target: str) -> int:
        return self._move(name, UNSUBSCRIBE, ignore_claims, target)

    def info(self, **target: str) -> Seen:
        records = {id: self._hash(f"conn:{id}") for id in self.connections_of(target)}
        session = target.get("session", "")
        connections = {
            id: self._connection(record)
            for id, record in records.items()
            if record and session in ("", record.get("session"))
        }
        stored = {id: self._hash(f"claim:{id}") for id in self.claims_of(target)}
        claims = {id: {**claim, "expiration": go_parse(claim["expiration"])}
                  for id, claim in stored.items() if claim}  # fmt: skip
        return Seen(connections, claims)

    # --- look-ups ------------------------------------------------------------------------

    def connections_of(self, target: dict[str, str]) -> set[str]:
        """Connection ids by the first selector of id, channel, user."""
        if id := target.get("id"):
            return {id}
        if channel := target.get("channel"):
            return self._set(f"channel:{channel}")
        return self._set(f"user:{target['user']}")

    def workers_of(self, target: dict[str, str]) -> set[str]:
        """The workers of a target's connections, each read from its record."""
        session = target.get("session") if not target.keys() & {"id", "channel"} else None
        records = [self._hash(f"conn:{id}") for id in self.connections_of(target)]
        return {
            record["workerId"]
            for record in records
            if record.get("workerId") and session in (None, record.get("session"))
        }

    def claims_of(self, target: dict[str, str]) -> set[str]:
        """Claim ids; here its precedence is session, channel, user."""
        if session := target.get("session"):
            return self._set(f"claim-user-session:{target.get('user', '')}-{session}")
        if channel := target.get("channel"):
            return self._set(f"claim-channel:{channel}")
        if user := target.get("user"):
            return self._set(f"claim-user:{user}")
        return set()

    # --- inside --------------------------------------------------------------------------

    def _move(self, channel: str, type: int, ignore_claims: str, target: dict[str, str]) -> int:
        workers = self.workers_of(target)
        for id in () if ignore_claims == "true" else self.claims_of(target):
            claim = self._hash(f"claim:{id}")
            if not claim:
                continue
            names = [name for name in claim.get("channels", "").split(",") if name]
            if type == SUBSCRIBE and channel not in names:
                names.append(channel)
                self.redis.sadd(f"claim-channel:{channel}", id)
            elif type == UNSUBSCRIBE and channel in names:
                names.remove(channel)
                self.redis.srem(f"claim-channel:{channel}", id)
            else:
                continue
            self.redis.hset(f"claim:{id}", "channels", ",".join(names))
        return self._publish(workers, ":channel", protobuf.channel_action(channel, type, target))

    def _tell(self, target: dict[str, str], suffix: str, payload: bytes) -> int:
        return self._publish(self.workers_of(target), suffix, payload)

    def _publish(self, workers: set[str], suffix: str, payload: bytes) -> int:
        for worker in workers:
            self.redis.publish(f"{worker}{suffix}", payload)
        return len(workers)

    def _connection(self, record: dict[str, str]) -> dict[str, Any]:
        channels = record["channels"].split(",")
        return {**record, "lastPing": go_parse(record["lastPing"]), "channels": channels}

    def _hash(self, key: str) -> dict[str, str]:
        fields: dict[str, str] = self.redis.hgetall(key)
        return fields

    def _set(self, key: str) -> set[str]:
        members: set[str] = self.redis.smembers(key)
        return members
