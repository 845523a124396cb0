"""Which routes a worker holds open: opened before they are needed, closed some time after.

A route is never missing while a connection needs it: it is opened before the claim is
taken, and closed only by its own worker, in the pipe's order.
"""

from __future__ import annotations

from collections.abc import Iterable

from dsock.backends.base import Held, Recipient
from dsock.backends.redis.calls import Reply
from dsock.backends.redis.records import Records, route_entry
from dsock.target import ToChannel, ToUser

RouteTarget = ToUser | ToChannel


def routes_of(connection: Held) -> list[RouteTarget]:
    """What a connection can be found by, beside its id."""
    return [ToUser(connection.user), *(ToChannel(name) for name in connection.channels)]


class Routes:
    """The open routes of one worker. `maybe_idle` are those that have lost a connection and
    are looked at when it is time to tidy up."""

    def __init__(self, records: Records, worker: Recipient) -> None:
        self._records = records
        self._worker = worker
        self._open: dict[RouteTarget, Reply] = {}
        self._maybe_idle: set[RouteTarget] = set()

    def __contains__(self, target: RouteTarget) -> bool:
        return target in self._open

    def missing(self, targets: Iterable[RouteTarget]) -> list[RouteTarget]:
        """Those that are not open."""
        return [target for target in targets if target not in self._open]

    def open(self, id: str, targets: Iterable[RouteTarget], enlisted: Reply) -> None:
        """Ask for routes to be opened that are listed first; `opening` has the replies."""
        for target in targets:
            self._open[target] = self._records.open_route(id, target, enlisted)

    def opening(self, targets: Iterable[RouteTarget]) -> list[Reply]:
        """What is to be waited for until these routes are certainly open."""
        return [self._open[target] for target in targets if target in self._open]

    def lost(self, targets: Iterable[RouteTarget]) -> None:
        """A connection has left these."""
        self._maybe_idle.update(targets)

    def close_idle(self, id: str) -> dict[str, Reply]:
        """Close what no connection needs any more; returns, by entry of the list, the
        replies after which it may be struck out.

        Nothing can come between looking and closing: both happen in one step here, and the
        pipe keeps the order.
        """
        idle = [
            target
            for target in self._maybe_idle
            if target in self._open and not self._worker.holds(target)
        ]
        self._maybe_idle.clear()
        for target in idle:
            del self._open[target]
        return {route_entry(target): self._records.close_route(id, target) for target in idle}

    def forget(self) -> None:
        """Redis may have lost them: none counts as open."""
        self._open.clear()
        self._maybe_idle.clear()
