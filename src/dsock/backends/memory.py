"""The single-node product: API and workers in one process, and nothing to start.

Everything here is one synchronous step, so there is nothing to race.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

from dsock.backends.base import Held, Recipient
from dsock.claim import Claim, ClaimRequest
from dsock.command import Command
from dsock.errors import ClaimIdAlreadyUsed
from dsock.presence import Info, Presence
from dsock.report import Outcome, Report
from dsock.target import Target, ToChannel, ToConnection, ToUser


class MemoryBackend:
    """A `Backend` without a second process. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._claims = _Claims(clock)
        self._members: dict[str, MemoryMembership] = {}

    @property
    def ready(self) -> bool:
        return True

    async def create_claim(self, request: ClaimRequest) -> None:
        self._claims.add(request)

    async def read_claim(self, id: str) -> Claim | None:
        return self._claims.get(id)

    async def void_claims(self, target: Target) -> None:
        for claim in self._claims.select(target):
            self._claims.remove(claim)

    async def move_claims(self, target: Target, channel: str, subscribed: bool) -> None:
        for claim in self._claims.select(target):
            self._claims.replace(claim.with_channel(channel, subscribed))

    async def publish(self, command: Command, wait: bool = True) -> Report:
        workers = [member.worker for member in self._members.values()]
        told = [worker for worker in workers if worker.holds(command.target)]
        collected = _Collected(len(told))
        for worker in told:
            worker.submit(command, collected.answered)
        return await collected.complete() if wait else Report(workers=len(told))

    async def info(self, target: Target) -> Info:
        connections = [
            Presence(
                one.id, member.id, one.user, one.session, tuple(one.channels), int(one.last_ping)
            )
            for member in self._members.values()
            for one in member.worker.select(target)
            if one.id in member.recorded
        ]
        return Info(connections, self._claims.select(target))

    @asynccontextmanager
    async def join(self, worker: Recipient) -> AsyncIterator[MemoryMembership]:
        member = MemoryMembership(str(uuid4()), worker, self._claims)
        self._members[member.id] = member
        try:
            yield member
        finally:
            del self._members[member.id]


class MemoryMembership:
    """A `Membership` with nobody to tell: the worker's registry is the record."""

    ready = True

    def __init__(self, id: str, worker: Recipient, claims: _Claims) -> None:
        self.id = id
        self.worker = worker
        self.recorded: set[str] = set()
        self._claims = claims

    async def open_routes(self, connection: Held) -> None: ...

    async def take(self, claim: Claim) -> Claim | bool:
        now = self._claims.get(claim.id)
        if now != claim:
            return now or False
        self._claims.remove(claim)
        return True

    async def record(self, connection: Held) -> None:
        # Unless it was forgotten meanwhile.
        if self.worker.holds(ToConnection(connection.id)):
            self.recorded.add(connection.id)

    def forget(self, connection: Held) -> None:
        self.recorded.discard(connection.id)

    def moved(self, connection: Held, channel: str, subscribed: bool) -> None: ...
    def touched(self, connection: Held) -> None: ...
    async def settled(self) -> None: ...


class _Collected:
    """The outcomes of a command: most are there as soon as it was submitted."""

    def __init__(self, workers: int) -> None:
        self._report = Report(workers)
        self._missing = workers
        self._completed: asyncio.Future[None] | None = None

    def answered(self, outcome: Outcome) -> None:
        self._report = self._report.answered(outcome)
        self._missing -= 1
        if self._completed and not self._missing and not self._completed.done():
            self._completed.set_result(None)

    async def complete(self) -> Report:
        """The report, once all have answered."""
        if self._missing:
            self._completed = asyncio.get_running_loop().create_future()
            await self._completed
        return self._report


class _Claims:
    """All claims, found by id, user and channel; expired ones leave by themselves."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_id: dict[str, tuple[Claim, float]] = {}
        self._by_user: dict[str, dict[str, None]] = {}
        self._by_channel: dict[str, dict[str, None]] = {}
        self._ends: list[tuple[float, str]] = []

    def add(self, request: ClaimRequest) -> None:
        claim, end = request.claim, self._clock() + request.lifetime
        if self.get(claim.id) is not None:
            raise ClaimIdAlreadyUsed
        heapq.heappush(self._ends, (end, claim.id))
        self._put(claim, end)

    def get(self, id: str) -> Claim | None:
        self._expire()
        found = self._by_id.get(id)
        return found[0] if found else None

    def select(self, target: Target) -> list[Claim]:
        self._expire()
        ids: dict[str, None]
        match target:
            case ToConnection():
                ids = {}
            case ToChannel(channel):
                ids = self._by_channel.get(channel, {})
            case ToUser(user):
                ids = self._by_user.get(user, {})
        claims = [self._by_id[id][0] for id in ids]
        return [claim for claim in claims if target.selects(claim)]

    def replace(self, claim: Claim) -> None:
        old, end = self._by_id[claim.id]
        self.remove(old)
        self._put(claim, end)

    def remove(self, claim: Claim) -> None:
        del self._by_id[claim.id]
        for index, key in self._places(claim):
            del index[key][claim.id]
            if not index[key]:
                del index[key]

    def _put(self, claim: Claim, end: float) -> None:
        self._by_id[claim.id] = (claim, end)
        for index, key in self._places(claim):
            index.setdefault(key, {})[claim.id] = None

    def _places(self, claim: Claim) -> list[tuple[dict[str, dict[str, None]], str]]:
        return [
            (self._by_user, claim.user),
            *((self._by_channel, channel) for channel in claim.channels),
        ]

    def _expire(self) -> None:
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            end, id = heapq.heappop(self._ends)
            found = self._by_id.get(id)
            # The id may be a later claim's by now.
            if found is not None and found[1] == end:
                self.remove(found[0])
        # Used-up claims leave their ends behind: long-lived ones must not pile up.
        if len(self._ends) > 2 * len(self._by_id) + 1000:
            self._ends = [(end, id) for id, (_, end) in self._by_id.items()]
            heapq.heapify(self._ends)
