"""What Redis is: one server, one that Sentinels name, or a Cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dsock.backends.redis.calls import Calls, Connect
from dsock.backends.redis.connections import (
    connector,
    database_of,
    dialer,
    sentinel_dialer,
    sentinels,
)
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.mailbox import Mailbox, Receive
from dsock.backends.redis.pipe import Pipe
from dsock.backends.redis.sentinel import Sentinels
from dsock.settings import Settings

Changed = Callable[[bool, str], None]
"""Told when Redis is in reach or no longer, and why."""


class Topology(Protocol):
    """Makes what the backend talks to Redis with."""

    keys: Keys

    async def open(self) -> None:
        """Find the servers. Raises `Unavailable`."""

    def pipe(self, changed: Changed) -> Calls: ...

    def mailbox(
        self, channels: tuple[str, ...], receive: Receive, subscribed: Callable[[], None]
    ) -> Mailbox: ...

    async def close(self) -> None: ...


class OneServer:
    """A `Topology` in which one server at a time has everything."""

    def __init__(self, settings: Settings, connect: Connect, listen: Connect) -> None:
        self.keys = Keys(settings.redis_key_prefix, database_of(settings))
        self._settings = settings
        self._connect = connect
        self._listen = listen

    async def open(self) -> None: ...

    def pipe(self, changed: Changed) -> Pipe:
        settings = self._settings
        return Pipe(
            self._connect,
            timeout=settings.redis_timeout,
            max_retries=settings.redis_max_retries,
            changed=changed,
        )

    def mailbox(
        self, channels: tuple[str, ...], receive: Receive, subscribed: Callable[[], None]
    ) -> Mailbox:
        return Mailbox(self._listen, channels, receive, subscribed)

    async def close(self) -> None: ...


def topology_of(settings: Settings) -> Topology:
    """The one that is set. Raises `StartError` for an address that is none."""
    if settings.redis_mode == "cluster":
        # Only who uses it waits for it to load.
        from dsock.backends.redis.cluster.topology import Cluster

        return Cluster(settings)
    if settings.redis_mode == "sentinel":
        found = Sentinels(
            sentinels(settings), settings.redis_sentinel_master, sentinel_dialer(settings)
        )
        decoded, raw = dialer(settings, decode=True), dialer(settings)
        return OneServer(settings, lambda: found.connect(decoded), lambda: found.connect(raw))
    return OneServer(settings, connector(settings, decode=True), connector(settings))
