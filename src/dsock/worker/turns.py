"""When commands are carried out: in order, and never for so long that the loop stands still."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context

from dsock.backends.base import Answered
from dsock.command import Command, Send
from dsock.report import Outcome
from dsock.worker.connection import Connection
from dsock.worker.outgoing import CHUNK, Outgoing

SLICE = 0.002
"""Seconds for which commands and their writes may hold the loop at a time."""

WAITING_LIMIT = 64 * 2**20
"""Bytes of commands from which on no more should be taken: they come in faster than they can be
carried out."""

_ENTRY = 512
"""Bytes that a command takes while it waits, about, without its body."""

Act = Callable[[Sequence[Connection]], Outcome]
"""What a command does to some of its connections."""

Begin = Callable[[Command], tuple[Sequence[Connection], Act]]
"""Takes a command whose turn has come; returns its connections, and what is done to them."""


class Turns:
    """A command is carried out at once when it can be; what one turn of the loop has no
    time for waits for the next, and nothing overtakes it. What a turn has put into
    `outgoing` is written at the beginning of the next: so many messages are one write."""

    def __init__(self, begin: Begin, outgoing: Outgoing) -> None:
        self._begin = begin
        self._outgoing = outgoing
        self._loop = asyncio.get_running_loop()
        # Nobody's: the id of the request that happens to begin a turn is not that of others.
        self._context = Context()
        self._queue: deque[tuple[Command, Answered, int]] = deque()
        self._waiting = 0
        self._current: _Job | None = None
        self._ends: float | None = None
        """When this turn may carry out no more commands; None: nothing waits for the next."""

    @property
    def full(self) -> bool:
        """Whether so much waits that it should not become more."""
        return self._waiting >= WAITING_LIMIT

    def submit(self, command: Command, answered: Answered) -> None:
        """Carry out a command after all that were submitted before it."""
        size = _ENTRY + len(command.body) if isinstance(command, Send) else _ENTRY
        self._queue.append((command, answered, size))
        self._waiting += size
        now = time.perf_counter()
        if self._ends is None:
            self._ends = now + SLICE / 2
            self._loop.call_soon(self._next, context=self._context)
        if now < self._ends:
            self._run(self._ends)

    def _next(self) -> None:
        # Half is for commands, so that those that came meanwhile join the writes.
        start = time.perf_counter()
        self._ends = start + SLICE / 2
        try:
            self._run(self._ends)
            self._outgoing.flush(start + SLICE)
        finally:
            # A fault of ours in one command or write must not stop those behind it.
            if self._queue or self._current or self._outgoing:
                self._loop.call_soon(self._next, context=self._context)
            else:
                self._ends = None

    def _run(self, end: float) -> None:
        while True:
            if self._current:
                self._advance(self._current)
            elif self._queue and not self._outgoing.full:
                command, answered, size = self._queue.popleft()
                self._waiting -= size
                self._start(command, answered)
            else:
                return
            if time.perf_counter() >= end:
                return

    def _start(self, command: Command, answered: Answered) -> None:
        receivers, act = self._begin(command)
        if len(receivers) <= CHUNK:
            answered(act(receivers))
        else:
            self._current = _Job(receivers, act, answered)

    def _advance(self, job: _Job) -> None:
        # One that fails is over, and not answered: it did not do all that it should.
        self._current = None
        if job.advance():
            self._current = job
        else:
            job.answered(job.outcome)


class _Job:
    """A command on its way through its connections, some at a time."""

    __slots__ = ("_act", "_done", "_receivers", "answered", "outcome")

    def __init__(self, receivers: Sequence[Connection], act: Act, answered: Answered) -> None:
        self.answered = answered
        self.outcome = Outcome()
        self._receivers = receivers
        self._act = act
        self._done = 0

    def advance(self) -> bool:
        """Go on with the next connections; says whether any are left."""
        start, self._done = self._done, self._done + CHUNK
        connections, dropped = self._act(self._receivers[start : self._done])
        self.outcome = Outcome(
            self.outcome.connections + connections, self.outcome.dropped + dropped
        )
        return self._done < len(self._receivers)
