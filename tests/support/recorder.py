"""A worker that does nothing but remember what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from dsock.backends.base import Answered, Backend, Held, Membership
from dsock.command import Command
from dsock.report import Outcome
from dsock.target import Target


@dataclass(eq=False)
class Line:
    """A connection without a socket."""

    id: str
    user: str = "user"
    session: str | None = None
    channels: dict[str, None] = field(default_factory=dict)
    last_ping: float = 1_700_000_000.0


class Recorder:
    """A `Recipient`: answers each command with the number of connections it matches."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.commands: list[Command] = []
        self.lost = False
        self._told = asyncio.Event()

    def submit(self, command: Command, answered: Answered) -> None:
        self.commands.append(command)
        self._told.set()
        answered(Outcome(len(self.select(command.target)), dropped=0))

    def select(self, target: Target) -> Sequence[Held]:
        return [line for line in self.lines if target.selects(line)]

    def holds(self, target: Target) -> bool:
        return bool(self.select(target))

    def everyone(self) -> Sequence[Held]:
        return list(self.lines)

    def lease_lost(self) -> None:
        self.lost = True

    async def heard(self, count: int) -> list[Command]:
        """The commands, once there are so many."""
        async with asyncio.timeout(5):
            while len(self.commands) < count:
                self._told.clear()
                await self._told.wait()
        return self.commands


@dataclass
class Member:
    """A recorder and its place in the cluster."""

    recorder: Recorder
    membership: Membership

    async def admit(self, line: Line) -> Line:
        """Let a connection in, as a worker does when there is no claim to take."""
        self.recorder.lines.append(line)
        await self.membership.open_routes(line)
        await self.membership.record(line)
        return line

    async def move(self, line: Line, channel: str, subscribed: bool) -> None:
        """Put a connection into a channel or take it out, until all can see it."""
        if subscribed:
            line.channels[channel] = None
        else:
            del line.channels[channel]
        self.membership.moved(line, channel, subscribed)
        await self.membership.settled()

    async def drop(self, line: Line) -> None:
        """Let a connection go, until all can see it."""
        self.recorder.lines.remove(line)
        self.membership.forget(line)
        await self.membership.settled()


@asynccontextmanager
async def member_of(backend: Backend) -> AsyncIterator[Member]:
    recorder = Recorder()
    async with backend.join(recorder) as membership:
        yield Member(recorder, membership)
