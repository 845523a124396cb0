"""What Redis is: one server, one that Sentinels name, or a Cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dsock.backends.redis.calls import Calls
from dsock.backends.redis.connections import connector
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.mailbox import Mailbox, Receive
from dsock.backends.redis.one_server import OneServer
from dsock.settings import Settings


class Topology(Protocol):
    """Makes what the backend talks to Redis with."""

    keys: Keys

    async def open(self) -> None:
        """Find the servers. Raises `Unavailable`."""

    def pipe(self, changed: Callable[[bool, str], None]) -> Calls:
        """Takes commands; `changed` is told when Redis is in reach or no longer, and why."""

    def mailbox(
        self, channels: tuple[str, ...], receive: Receive, subscribed: Callable[[], None]
    ) -> Mailbox:
        """Listens on these channels."""

    async def close(self) -> None: ...


def topology_of(settings: Settings) -> Topology:
    """The one that is set. Raises `StartError` for an address that is none."""
    # Only who uses one of these waits for it to load.
    if settings.redis_mode == "cluster":
        from dsock.backends.redis.cluster.topology import Cluster

        return Cluster(settings)
    if settings.redis_mode == "sentinel":
        from dsock.backends.redis.sentinel import WatchedServer

        return WatchedServer(settings)
    return OneServer(settings, connector(settings, decode=True), connector(settings))
