"""A pipe to one master of a Cluster."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from redis.exceptions import AskError, ClusterDownError, MovedError, ResponseError

from dsock.backends.redis.calls import Connect
from dsock.backends.redis.connections import Server
from dsock.backends.redis.pipe import Call, Pipe

ASKING = ("ASKING",)
"""Makes a server that is being given a slot take the next command on it."""


class Dispatch(Protocol):
    """Where calls go that are not for this server."""

    def redirected(self, call: Call, slot: int | None, server: Server, error: Exception) -> None:
        """Another server has answered that this one is to be asked: for this slot from now
        on, or without a slot for this call."""

    def handed_back(self, calls: list[Call], server: Server, error: BaseException | None) -> None:
        """These could not be asked there, or not finished; in their order."""

    def refused(self, error: ResponseError) -> None:
        """The Cluster as a whole does not work."""


class Shard(Pipe):
    """Does not try again by itself: the slots may have gone to another server."""

    def __init__(
        self,
        server: Server,
        connect: Connect,
        dispatch: Dispatch,
        *,
        timeout: float,
        changed: Callable[[bool, str], None],
    ) -> None:
        super().__init__(connect, timeout=timeout, max_retries=0, changed=changed)
        self._server = server
        self._dispatch = dispatch

    def put(self, call: Call) -> None:
        """Send this after all that was put before."""
        self._put(call)

    def put_asking(self, call: Call) -> None:
        """Send this, though the slot is not this server's yet."""
        self.call(*ASKING).add_done_callback(_ignore)
        self._put(call)

    def hurry(self) -> None:
        """It has no slots any more: what it has not answered is handed back now."""
        if self._exchanging:
            with suppress(RuntimeError):  # It is over.
                self._exchanging.reschedule(0)

    async def _again(self, batch: list[Call]) -> list[Call]:
        queued, self._failures = list(self._queue), 0
        self._queue.clear()
        self._dispatch.handed_back([*batch, *queued], self._server, self._trouble)
        return []

    def _refused(self, call: Call, error: ResponseError) -> None:
        if isinstance(error, AskError):
            server = Server(error.host or self._server.host, error.port)
            slot = error.slot_id if isinstance(error, MovedError) else None
            self._dispatch.redirected(call, slot, server, error)
            return
        if isinstance(error, ClusterDownError):
            self._dispatch.refused(error)
        super()._refused(call, error)


def _ignore(asked: object) -> None:
    # What comes after it says whether it worked.
    getattr(asked, "exception", lambda: None)()
