"""The parts that go to a Redis Cluster, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from redis.exceptions import RedisError

from dsock.backends.redis.calls import Connect
from dsock.backends.redis.cluster.sharded import ShardedMailbox
from dsock.backends.redis.cluster.shards import Shards
from dsock.backends.redis.cluster.slots import Slots
from dsock.backends.redis.connections import Server, connected, database_of, dialer, servers
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.mailbox import Receive
from dsock.backends.redis.pipe import OUT_OF_REACH
from dsock.errors import Unavailable
from dsock.settings import Settings


class Cluster:
    """A `Topology` in which every master has some of the slots."""

    def __init__(self, settings: Settings) -> None:
        database_of(settings)  # For its refusal.
        self.keys = Keys(settings.redis_key_prefix, shared=False)
        self._settings = settings
        self._dial = dialer(settings, decode=True)
        self._dial_raw = dialer(settings)
        self._slots = Slots(servers(settings), self._dial)
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        try:
            await self._slots.look()
        except (*OUT_OF_REACH, RedisError) as error:
            raise Unavailable from error
        self._following = asyncio.create_task(self._slots.run())

    def pipe(self, changed: Callable[[bool, str], None]) -> Shards:
        return Shards(
            self._slots,
            self._connect,
            timeout=self._settings.redis_timeout,
            max_retries=self._settings.redis_max_retries,
            changed=changed,
        )

    def mailbox(
        self, channels: tuple[str, ...], receive: Receive, subscribed: Callable[[], None]
    ) -> ShardedMailbox:
        return ShardedMailbox(self._slots, self._dial_raw, channels, receive, subscribed)

    async def close(self) -> None:
        if self._following:
            self._following.cancel()
            await asyncio.wait((self._following,))

    def _connect(self, server: Server) -> Connect:
        return lambda: connected(self._dial(server))
