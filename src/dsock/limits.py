"""How many connections a worker takes, and how often somebody may show a wrong secret.

Pure: whoever asks says what time it is, in seconds by a clock that never goes back. Nothing here
needs a timer: what is over is forgotten at the next look.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address

from dsock.errors import TooManyConnections, TooManyConnectionsOfUser, TooManyConnects

MINUTE = 60.0

PROVEN_FOR = 3600.0
"""Seconds for which an address counts as that of somebody who has the secret."""

MOST_ADDRESSES = 10_000
"""Addresses that are remembered at once. To be forgotten early, somebody must fail from as many
others: with a limit of 60 he may fail oftener without that."""

MOST_PROVEN = 1_000


class Rate:
    """So many a second, and as many at once (a token bucket)."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left = float(per_second)
        self._at = 0.0

    def allows(self, now: float) -> bool:
        """Whether one more may come."""
        come = (now - self._at) * self._per_second
        self._left = min(self._per_second, self._left + come)
        self._at = now
        return self._left >= 1

    def take(self) -> None:
        """One more has come, as it may."""
        self._left -= 1


class Room:
    """How many connections a worker takes: in all, of one user, and new ones in a second. 0 is
    no limit."""

    def __init__(
        self, *, max_connections: int = 0, max_of_user: int = 0, max_per_second: int = 0
    ) -> None:
        self._max_connections = max_connections
        self._max_of_user = max_of_user
        self._rate = Rate(max_per_second) if max_per_second else None
        self.is_limited = bool(max_connections or max_of_user or max_per_second)
        """Whether there is any use in asking."""

    def look(self, connections: int, now: float) -> None:
        """Whether there may be room for one more, whoever it is, beside so many connections.
        Raises `TooManyConnections` or `TooManyConnects`."""
        if self._max_connections and connections >= self._max_connections:
            raise TooManyConnections
        if self._rate and not self._rate.allows(now):
            raise TooManyConnects

    def enter(self, connections: int, of_user: int, now: float) -> None:
        """One more comes in, beside so many connections, of which so many are of its user.
        Raises what `look` does, or `TooManyConnectionsOfUser`; then nothing is used up."""
        self.look(connections, now)
        if self._max_of_user and of_user >= self._max_of_user:
            raise TooManyConnectionsOfUser
        if self._rate:
            self._rate.take()


def _nobody(_: str) -> None: ...


class Failures:
    """How often each address has failed in this minute: `per_minute` is how often it may, 0
    for as often as it likes. `on_limit` is told of one that has done so, once a minute."""

    def __init__(self, per_minute: int, on_limit: Callable[[str], None] = _nobody) -> None:
        self._limit = per_minute
        self._on_limit = on_limit
        self._ends = 0.0
        # All begin anew together: so nothing has to be known of each but a number.
        self._counts: dict[str | bytes, int] = {}
        self._proven: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def over(self, address: str, now: float) -> bool:
        """Whether this address has failed as often as it may."""
        if not self._counts:
            return False
        self._begin_anew(now)
        return self._counts.get(_place(address), 0) >= self._limit

    def add(self, address: str, now: float) -> None:
        """Somebody at this address has failed."""
        if not self._limit:
            return
        self._begin_anew(now)
        place = _place(address)
        count = self._counts.get(place, 0) + 1
        if count == 1 and len(self._counts) >= MOST_ADDRESSES:
            del self._counts[next(iter(self._counts))]
        self._counts[place] = count
        if count == self._limit:
            self._on_limit(address)

    def prove(self, address: str, now: float) -> None:
        """Somebody at this address has the secret."""
        if self._limit:
            self._proven.pop(address, None)  # Who came last is forgotten last.
            self._proven[address] = now
            if len(self._proven) > MOST_PROVEN:
                del self._proven[next(iter(self._proven))]

    def proven(self, address: str, now: float) -> bool:
        """Whether somebody at this address had the secret lately."""
        at = self._proven.get(address)
        return at is not None and now - at < PROVEN_FOR

    def _begin_anew(self, now: float) -> None:
        if now >= self._ends:
            self._counts = {}
            self._ends = now + MINUTE


def _place(address: str) -> str | bytes:
    """What counts as one: an IPv4 address, or the /64 that an IPv6 address is in, of which
    whoever has one has all."""
    if ":" not in address:
        return address
    try:
        return IPv6Address(address).packed[:8]
    except ValueError:
        return address
