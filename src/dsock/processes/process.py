"""One of several processes of a node, as it sees itself after the fork."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog

from dsock.errors import DsockError, NotReady
from dsock.http.server import Sockets
from dsock.observers.totals import Totals
from dsock.processes.board import Board

BEAT = 0.5
"""Seconds between two beats."""

HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
"""The signals that a parent waits for. Its processes are born without ears for them."""

log = structlog.stdlib.get_logger("dsock.processes")


class State(NamedTuple):
    """What the others may know of a process; `sizes` are its connections, users and channels."""

    ready: bool
    sizes: tuple[int, int, int] = (0, 0, 0)


class Process:
    """The process with this index. `lifeline` is a pipe that ends with the parent."""

    def __init__(
        self, index: int, sockets: Sockets, board: Board, totals: Totals, lifeline: int
    ) -> None:
        self.sockets = sockets
        self.totals = totals
        self._board = board
        self._row = board.rows[index]
        self._lifeline = lifeline

    def orders(self) -> Orders:
        return Orders(self._lifeline)

    def is_up(self, state: State) -> None:
        """This process answers."""
        # The last beat may be from before it could.
        self.tell(state)
        self._row.up_since = time.monotonic()

    def tell(self, state: State) -> None:
        """Show this state to the other processes."""
        row = self._row
        row.is_ready = state.ready
        row.connections, row.users, row.channels = state.sizes
        row.beaten_at = time.monotonic()

    def readiness(self, state: State, trouble: DsockError | None) -> DsockError | None:
        """What `/ready` says, whichever process is asked: this one's `trouble`, or that of
        another."""
        # At once: whoever is asked next knows it, too.
        self.tell(state)
        if not trouble and not self._board.all_ready:
            return NotReady("Another process of this node is not ready.")
        return trouble

    @asynccontextmanager
    async def beating(self, look: Callable[[], State]) -> AsyncIterator[None]:
        """Inside this context the parent and the others are shown that the loop turns, and
        what `look` says."""
        task = asyncio.create_task(self._beat(look))
        try:
            yield
        finally:
            task.cancel()

    async def _beat(self, look: Callable[[], State]) -> None:
        while True:
            self.tell(look())
            self._row.beats += 1
            await asyncio.sleep(BEAT)


class Orders:
    """The first SIGTERM is an event, and so is the end of the parent. What comes after that
    is heard no more: a signal may come to this process and through the parent, and how to end
    at once the parent knows."""

    def __init__(self, lifeline: int) -> None:
        self._lifeline = lifeline
        self._asked = asyncio.Event()

    def __enter__(self) -> Orders:
        loop = asyncio.get_running_loop()
        # A terminal sends it to all; the parent passes it on.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        loop.add_signal_handler(signal.SIGTERM, self._asked.set)
        loop.add_reader(self._lifeline, self._orphaned)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        loop.remove_reader(self._lifeline)
        loop.remove_signal_handler(signal.SIGTERM)

    async def wait(self) -> None:
        """Wait until this process has to stop."""
        await self._asked.wait()

    def _orphaned(self) -> None:
        asyncio.get_running_loop().remove_reader(self._lifeline)
        log.error("the parent is gone: stopping")
        self._asked.set()
