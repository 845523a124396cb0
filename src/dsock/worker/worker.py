"""The last mile: commands are carried out on the connections of this worker, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from dsock.backends.base import Answered, Backend, Membership
from dsock.close import Goodbye
from dsock.command import Command, Disconnect, Send, Subscribe, Unsubscribe
from dsock.events import (
    CommandApplied,
    ConnectionClosed,
    ConnectionOpened,
    MessageReceived,
    Notify,
)
from dsock.http.incoming import Incoming
from dsock.report import Outcome
from dsock.target import Target
from dsock.worker.connection import Connection
from dsock.worker.frames import Frames
from dsock.worker.outgoing import Outgoing
from dsock.worker.pulse import Pulse
from dsock.worker.registry import Registry
from dsock.worker.turns import Act, Turns

_DRAIN_STEP = 0.05
"""Seconds between two groups of clients that are closed at shutdown."""


class Worker:
    """All connections of this node, and the one place where commands meet them."""

    def __init__(
        self,
        notify: Notify,
        *,
        send_buffer_limit: int,
        max_client_message_size: int,
        compress_from: int | None,
        ping_interval: float,
        ping_timeout: float,
        send_timeout: float,
    ) -> None:
        self.registry: Registry[Connection] = Registry()
        self.membership: Membership | None = None
        """This worker's place in the cluster, inside `member_of`."""
        self.send_buffer_limit = send_buffer_limit
        self.max_client_message_size = max_client_message_size
        self.compress_from = compress_from
        """Bytes from which a message is compressed for clients that take it; None: never."""
        self.pulse = Pulse(
            self.registry,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            send_timeout=send_timeout,
        )
        self.incoming = Incoming()
        self._notify = notify
        self._loop = asyncio.get_running_loop()
        self._outgoing = Outgoing()
        self._turns = Turns(self._begin, self._outgoing)
        self._leaving: set[Connection] = set()
        self._nobody_leaving = asyncio.Event()

    @asynccontextmanager
    async def member_of(self, backend: Backend) -> AsyncIterator[None]:
        """Inside this context the worker takes part in the cluster, and its clients are
        pinged."""
        async with backend.join(self) as self.membership:
            self.pulse.start()
            try:
                yield
            finally:
                self.pulse.stop()
                # Nobody is left after a drain; without one, nobody may be left behind.
                for connection in self.everyone():
                    connection.close(Goodbye.SHUTTING_DOWN)
        self.membership = None

    # --- as the backend sees it (`Recipient`) --------------------------------------------

    def submit(self, command: Command, answered: Answered) -> None:
        """Carry out a command after all that were submitted before it. While too much waits, a
        message is dropped for all its receivers instead; whatever else is asked for is done."""
        applied = partial(self._applied, answered)
        if self._turns.full and isinstance(command, Send):
            receivers = self.registry.select(command.target)
            applied(Outcome(dropped=sum(one.is_open for one in receivers)))
        else:
            self._turns.submit(command, applied)

    def select(self, target: Target) -> Sequence[Connection]:
        return self.registry.select(target)

    def holds(self, target: Target) -> bool:
        return self.registry.holds(target)

    def everyone(self) -> Sequence[Connection]:
        return list(self.registry)

    def lease_lost(self) -> None:
        for connection in self.everyone():
            connection.close(Goodbye.LEASE_LOST)

    # --- as a connection sees it (`Owner`) -----------------------------------------------

    def left(self, connection: Connection) -> None:
        if not self.registry.discard(connection):
            return
        self.pulse.discard(connection)
        if self.membership:
            self.membership.forget(connection)
        if connection.was_open and connection.goodbye:
            self._leaving.add(connection)
            self._notify(ConnectionClosed(connection.id, connection.user, connection.goodbye))

    def gone(self, connection: Connection) -> None:
        self._leaving.discard(connection)
        if not self._leaving:
            self._nobody_leaving.set()

    def heard(self, connection: Connection) -> None:
        if self.membership:
            self.membership.touched(connection)

    def received(self, connection: Connection, message: str | bytes) -> None:
        """What a client sends is limited, checked, counted and dropped: this is where it
        would go upstream."""
        self._notify(MessageReceived(len(message)))

    # --- as admission sees it ------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A pending connection has its 101."""
        self.pulse.add(connection)
        self._notify(ConnectionOpened(connection.id, connection.user))

    def subscribe(self, connection: Connection, channel: str) -> None:
        """Put a connection into a channel, here and for the cluster."""
        # A fan-out goes in slices, between which connections leave.
        if connection.goodbye is None and channel not in connection.channels:
            connection.channels[channel] = None
            self.registry.subscribe(connection, channel)
            if self.membership:
                self.membership.moved(connection, channel, True)

    def unsubscribe(self, connection: Connection, channel: str) -> None:
        """Take a connection out of a channel, here and for the cluster."""
        if connection.goodbye is None and channel in connection.channels:
            del connection.channels[channel]
            self.registry.unsubscribe(connection, channel)
            if self.membership:
                self.membership.moved(connection, channel, False)

    # --- drain ---------------------------------------------------------------------------

    async def drain(self, duration: float) -> None:
        """Close all clients, spread evenly over `duration` seconds, and wait for them."""
        everyone = deque(self.everyone())
        start, count = self._loop.time(), len(everyone)
        while everyone:
            passed = self._loop.time() - start + _DRAIN_STEP
            due = count * min(1.0, passed / max(duration, _DRAIN_STEP))
            while everyone and count - len(everyone) < due:
                everyone.popleft().close(Goodbye.SHUTTING_DOWN)
            if everyone:
                await asyncio.sleep(_DRAIN_STEP)
        # Who was pending when this began.
        for connection in self.everyone():
            connection.close(Goodbye.SHUTTING_DOWN)
        while self._leaving:
            self._nobody_leaving.clear()
            await self._nobody_leaving.wait()

    # --- commands ------------------------------------------------------------------------

    def _begin(self, command: Command) -> tuple[Sequence[Connection], Act]:
        return self.registry.select(command.target), self._act(command)

    def _act(self, command: Command) -> Act:
        match command:
            case Send(_, type, body):
                self._outgoing.count(len(body))
                return partial(self._outgoing.put, Frames(type, body, self.compress_from))
            case Disconnect():
                return self._each(lambda connection: connection.close(Goodbye.DISCONNECTED))
            case Subscribe(_, channel):
                return self._each(lambda connection: self.subscribe(connection, channel))
            case Unsubscribe(_, channel):
                return self._each(lambda connection: self.unsubscribe(connection, channel))

    def _applied(self, answered: Answered, outcome: Outcome) -> None:
        self._notify(CommandApplied(*outcome))
        answered(outcome)

    def _each(self, do: Callable[[Connection], None]) -> Act:
        def act(connections: Sequence[Connection]) -> Outcome:
            matched = 0
            for connection in connections:
                matched += connection.is_open
                do(connection)
            return Outcome(matched)

        return act
