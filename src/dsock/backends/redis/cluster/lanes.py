"""The order of commands on a Cluster.

Each slot has a lane. What is asked for in a lane goes to the master of its slot at once, in
a pipe, unless something must be answered first: what `after` names, or, while the slot moves
from one master to another, all that the first has been sent. Then the lane waits, and what
comes later in it waits behind. Nothing can wait in a circle: each waits for what was asked
for earlier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from dsock.backends.redis.calls import Reply
from dsock.backends.redis.cluster.slots import Slots
from dsock.backends.redis.connections import Server
from dsock.backends.redis.pipe import Call, fail

Send = Callable[[Server | None, Call], None]
"""Sends a call to a server, or sees to it when nobody has its slot."""


class _Waiting(NamedTuple):
    call: Call
    after: tuple[Reply, ...]


class _Lane:
    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.server: Server | None = None
        """Who has what is under way."""
        self.astray = False
        """Whether something under way had to be sent anew, perhaps elsewhere."""
        self.under_way: set[Reply] = set()
        self.waiting: deque[_Waiting] = deque()
        self.waits_for: Reply | None = None


class Lanes:
    """One lane for each slot that has anything under way."""

    def __init__(self, slots: Slots, send: Send) -> None:
        self._slots = slots
        self._send = send
        self._lanes: dict[int, _Lane] = {}

    def enter(self, slot: int, call: Call, after: Iterable[Reply]) -> None:
        """Send this as soon as its turn has come."""
        lane = self._lanes.get(slot)
        if lane is None:
            lane = self._lanes[slot] = _Lane(slot)
        lane.waiting.append(_Waiting(call, tuple(after)))
        self._advance(lane)

    def strayed(self, slot: int) -> None:
        """A call under way in this lane has to be sent anew: nothing may overtake it."""
        if lane := self._lanes.get(slot):
            lane.astray = True

    def all(self) -> list[Reply]:
        """Whatever is under way or waits."""
        lanes = self._lanes.values()
        waiting = [one.call.reply for lane in lanes for one in lane.waiting]
        return [*waiting, *(reply for lane in lanes for reply in lane.under_way)]

    def _advance(self, lane: _Lane) -> None:
        while lane.waiting:
            call, after = lane.waiting[0]
            if missing := next((reply for reply in after if not reply.done()), None):
                if missing is not lane.waits_for:
                    lane.waits_for = missing
                    missing.add_done_callback(partial(self._answered, lane))
                return
            server = self._slots.owner(lane.slot)
            if lane.under_way and (lane.astray or server != lane.server):
                return
            lane.waiting.popleft()
            # What should have come first has perhaps not happened: then neither may this.
            if trouble := next(filter(None, map(_trouble, after)), None):
                fail([call], trouble)
            if not call.reply.done():
                lane.server = server
                lane.under_way.add(call.reply)
                call.reply.add_done_callback(partial(self._landed, lane))
                self._send(server, call)
        # One that has ended may be heard of once more, when its slot has another.
        if not lane.under_way and self._lanes.get(lane.slot) is lane:
            del self._lanes[lane.slot]

    def _answered(self, lane: _Lane, reply: Reply) -> None:
        if lane.waits_for is reply:
            lane.waits_for = None
            self._advance(lane)

    def _landed(self, lane: _Lane, reply: Reply) -> None:
        lane.under_way.discard(reply)
        if not lane.under_way:
            lane.astray = False
            self._advance(lane)


def _trouble(reply: Reply) -> BaseException | None:
    if reply.cancelled():
        return TimeoutError("nobody waited for what comes first")
    return reply.exception()
