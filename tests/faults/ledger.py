"""What was seen of a system, for `history.py` to judge.

All moments are seconds on one clock, that of whoever keeps the ledger. A client here is one
connection; who comes back is another client.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from dsock.target import Target, ToUser


class Message(NamedTuple):
    """A sender numbers its messages in the order in which it sends them, one after the
    other."""

    sender: str
    number: int

    def __str__(self) -> str:
        return f"{self.sender}/{self.number}"


@dataclass(slots=True)
class Client:
    """A connection, as its client sees it."""

    name: str
    user: str
    session: str
    channels: frozenset[str] = frozenset()
    """Those of its claim."""
    worker: str = ""
    """Where it connects to."""
    claim: str = ""
    """The id of the claim it comes with; empty if it comes with a JWT."""
    claimed: float = -inf
    """When it was given its claim; never, with a JWT."""
    opened: float = inf
    """When it had its 101."""
    left: float = inf
    """When it began to leave by its own wish."""
    closed: float = inf
    """When it was gone, by whoever's wish."""
    code: int | None = None
    """The code of the server's close frame, if one came."""
    id: str = ""
    """Its connection's id, once it is known."""
    received: list[tuple[float, Message]] = field(default_factory=list)

    def stayed(self, moment: float) -> bool:
        """Whether it was there until then, and later went by its own wish and in good order:
        it has read all that was in its buffer."""
        return self.left > moment and (
            self.closed == inf or (self.left < inf and self.code == 1000)
        )

    def __str__(self) -> str:
        return (
            f"{self.name} {self.id or '(no id)'} {self.user} at {self.worker}"
            f" {','.join(sorted(self.channels))}: claimed {self.claimed:.3f}, open"
            f" {self.opened:.3f}, left {self.left:.3f}, closed {self.closed:.3f} with {self.code},"
            f" got {len(self.received)}"
        )


UNDER_WAY = 1.0
"""Seconds within which arrives what nobody waits for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call was answered, and when. `status` 0: there was no answer."""

    began: float
    ended: float
    status: int
    connections: int = 0
    dropped: int = 0
    unanswered: int = 0
    waited: bool = True
    """Whether it was to wait for what came of the call; a `report` counts nothing otherwise."""

    @property
    def settled(self) -> float:
        """When what was asked for has happened, unless something is broken."""
        return self.ended if self.waited else self.ended + UNDER_WAY

    @property
    def heard(self) -> bool:
        """Whether it says that no worker was missed."""
        return self.status == 200 and not self.unanswered

    @property
    def took(self) -> float:
        return self.ended - self.began

    def __str__(self) -> str:
        counts = f"{self.connections} took it, {self.dropped} dropped, {self.unanswered} unanswered"
        counts = counts if self.waited else "not waited for"
        return f"{self.began:.3f} to {self.ended:.3f}: {self.status}, {counts}"


@dataclass(frozen=True, slots=True)
class Sent:
    message: Message
    target: Target
    answer: Answer

    def __str__(self) -> str:
        return f"{self.message} to {self.target} ({self.answer})"


@dataclass(frozen=True, slots=True)
class Disconnected:
    target: Target
    answer: Answer

    def __str__(self) -> str:
        return f"disconnect of {self.target} ({self.answer})"


@dataclass(frozen=True, slots=True)
class Moved:
    """A session was put into a channel, or taken out. Nobody moves one of a channel twice at
    a time."""

    target: ToUser
    channel: str
    subscribed: bool
    answer: Answer

    def __str__(self) -> str:
        verb = "subscribe" if self.subscribed else "unsubscribe"
        return f"{verb} {self.target} {self.channel} ({self.answer})"


@dataclass(frozen=True, slots=True)
class Shown:
    """The ids that `/info` showed of a session."""

    target: ToUser
    ids: frozenset[str]
    answer: Answer

    def __str__(self) -> str:
        return f"info of {self.target}: {sorted(self.ids)} ({self.answer})"


class Window(NamedTuple):
    """A fault, and the time that the promises give the system to get over it."""

    began: float
    ended: float
    why: str = ""
    closes: str = ""
    """The worker that ends, or may lose its lease: its clients may be closed, and count no more
    before that."""
    forgets: bool = False
    """Redis lost its data: promises 4 and 6 leave a second open."""
    unmarks: bool = False
    """Redis lost its data, and so a worker that was declared gone before may find out late."""

    def __str__(self) -> str:
        return f"{self.began:.3f} to {self.ended:.3f}: {self.why}"


@dataclass(slots=True)
class Ledger:
    """All that was seen."""

    clients: list[Client] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    disconnected: list[Disconnected] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    """What was in Redis when all had left."""
