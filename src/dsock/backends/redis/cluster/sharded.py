"""A mailbox on a Cluster: its channels are sharded, and it follows their slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError

from dsock.backends.redis.cluster.slots import Slots, slot_of
from dsock.backends.redis.connections import Dial, Server, connected
from dsock.backends.redis.mailbox import Mailbox, Receive


class ShardedMailbox(Mailbox):
    """All `channels` are in one slot, and so on one connection. There is no other way to
    be heard by a publisher who counts: who listens at a replica is not counted."""

    _subscribe, _message = "SSUBSCRIBE", b"smessage"

    def __init__(
        self,
        slots: Slots,
        dial: Dial,
        channels: Sequence[str],
        receive: Receive,
        subscribed: Callable[[], None],
    ) -> None:
        self._slots = slots
        self._dial = dial
        self._server: Server | None = None
        super().__init__(self._connect_to_owner, channels, receive, subscribed)

    def check(self) -> None:
        # After a failover the old master may still pass on what the new one is told.
        if self.hears and self._owner() not in (None, self._server):
            self.rebuild()
        super().check()

    def _owner(self) -> Server | None:
        return self._slots.owner(slot_of(self._channels[0]))

    async def _connect_to_owner(self) -> AbstractConnection:
        self._server = owner = self._owner()
        # Until it works: perhaps it is no longer there.
        self._slots.suspect()
        if owner is None:
            raise RedisConnectionError("nobody has the slot")
        return await connected(self._dial(owner))

    def _heard(self, reply: Any) -> None:
        if reply[0] == b"sunsubscribe":
            self._slots.suspect()
            raise RedisConnectionError("the slot has moved")
        super()._heard(reply)

    def _say_why(self, error: BaseException | None) -> None:
        if isinstance(error, MovedError) and self._server:
            server = Server(error.host or self._server.host, error.port)
            self._slots.moved(error.slot_id, server)
        else:
            super()._say_why(error)
