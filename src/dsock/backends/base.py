"""What API and workers share, and what it promises. Both backends keep all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from dsock.claim import Claim, ClaimRequest
from dsock.command import Command
from dsock.presence import Info
from dsock.report import Outcome, Report
from dsock.target import Addressed, Target


class Held(Addressed, Protocol):
    """A connection, pending or open, as a backend sees it."""

    @property
    def last_ping(self) -> float: ...


Answered = Callable[[Outcome], None]
"""Takes a command's outcome once the worker has carried it out."""


class Recipient(Protocol):
    """A worker, as a backend sees it."""

    def submit(self, command: Command, answered: Answered) -> None:
        """Carry out a command after all that were submitted before it."""

    def select(self, target: Target) -> Sequence[Held]:
        """The connections of a target, pending ones too."""

    def holds(self, target: Target) -> bool:
        """Whether there are any."""

    def everyone(self) -> Sequence[Held]:
        """All connections, pending ones too."""

    def lease_lost(self) -> None:
        """The cluster has declared this worker gone: close every client."""


class Membership(Protocol):
    """One worker's place in the cluster. Every method raises `Unavailable` when what it
    asks for is not certain to have happened."""

    @property
    def ready(self) -> bool:
        """Whether this worker hears commands; if not, it must let nobody in."""

    async def open_routes(self, connection: Held) -> None:
        """From now on, who asks where this connection is finds this worker. Holds for all
        that is asked of this membership later; fails, at the latest, in `record`."""

    async def take(self, claim: Claim) -> Claim | bool:
        """Use the claim up if it still reads as `claim`: true for exactly one caller. A
        claim that reads otherwise now is not used up but returned; false: it is gone."""

    async def record(self, connection: Held) -> None:
        """Show the connection to the cluster."""

    def moved(self, connection: Held, channel: str, subscribed: bool) -> None:
        """Show that a connection is in a channel, or no longer."""

    def touched(self, connection: Held) -> None:
        """Show, some time soon, that the client was heard."""

    def forget(self, connection: Held) -> None:
        """The connection is gone."""

    async def settled(self) -> None:
        """All that was shown, moved and forgotten before now has happened."""


class Backend(Protocol):
    """Claims, commands and presence. Every method raises `Unavailable` when it cannot
    answer truly."""

    @property
    def ready(self) -> bool:
        """Whether calls are likely to succeed."""

    async def create_claim(self, request: ClaimRequest) -> None:
        """Store a claim for its lifetime. Raises `ClaimIdAlreadyUsed`."""

    async def read_claim(self, id: str) -> Claim | None:
        """A claim, without using it up."""

    async def void_claims(self, target: Target) -> None:
        """Remove the target's claims: none that was answered before now admits anyone."""

    async def move_claims(self, target: Target, channel: str, subscribed: bool) -> None:
        """Put the target's claims into a channel, or take them out of it."""

    async def publish(self, command: Command, wait: bool = True) -> Report:
        """Tell every worker that has connections of the target; at most once, in the order
        of the calls. No such worker is no error. Without `wait`, the report has `workers`
        alone."""

    async def info(self, target: Target) -> Info:
        """The target's connections and claims."""

    def join(self, worker: Recipient) -> AbstractAsyncContextManager[Membership]:
        """A worker is a member inside this context."""
