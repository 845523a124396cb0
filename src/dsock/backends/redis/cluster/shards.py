"""`Calls` to a Redis Cluster: a pipe to each master, and one order over all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from redis.exceptions import ResponseError

from dsock.backends.redis.calls import Connect, Reply
from dsock.backends.redis.cluster.lanes import Lanes
from dsock.backends.redis.cluster.shard import ASKING, Shard
from dsock.backends.redis.cluster.slots import Slots, slot_of
from dsock.backends.redis.connections import Server
from dsock.backends.redis.pipe import FIRST_PAUSE, LONGEST_PAUSE, Call, fail

AT_ONCE = 3
"""Redirections of one call that are followed without a pause."""


class Shards:
    """Sends every command to the master that has its slot. What a master did not take is
    sent to whoever has the slot then, within the time of the call."""

    def __init__(
        self,
        slots: Slots,
        connect: Callable[[Server], Connect],
        *,
        timeout: float,
        max_retries: int,
        changed: Callable[[bool, str], None],
    ) -> None:
        self.reached = False
        self._slots = slots
        self._connect = connect
        self._timeout = timeout
        self._max_retries = max_retries
        self._changed = changed
        self._lanes = Lanes(slots, self._send)
        self._shards: dict[Server, Shard] = {}
        self._masters: frozenset[Server] = frozenset()
        self._lost: set[Server] = set()
        self._connects_before = 0
        self._homeless: list[Call] = []
        self._bringing: asyncio.Task[None] | None = None
        self._turns: deque[tuple[Reply, Reply]] = deque()
        self._trouble: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        slots.followers.append(self)

    @property
    def connects(self) -> int:
        return self._connects_before + sum(shard.connects for shard in self._shards.values())

    def call(
        self,
        *command: str | bytes | int | float,
        once: bool = False,
        after: Iterable[Reply] = (),
    ) -> Reply:
        call = self._new_call(command, once)
        self._lanes.enter(_slot(call), call, after)
        return call.reply

    def in_turn(self, reply: Reply) -> Reply:
        turn: Reply = self._loop.create_future()
        self._turns.append((reply, turn))
        reply.add_done_callback(self._next_turns)
        return turn

    def publish(self, channel: str, payload: bytes) -> Reply:
        return self.call("SPUBLISH", channel, payload, once=True)

    def everywhere(self, *command: str) -> list[Reply]:
        calls = [self._new_call(command, once=False) for _ in self._slots.masters]
        for server, call in zip(self._slots.masters, calls, strict=True):
            self._shard(server).put(call)
        return [call.reply for call in calls]

    def check(self) -> list[Reply]:
        # One that became a replica still takes what is published there, as if nothing were.
        roles = self.everywhere("ROLE")
        for role in roles:
            role.add_done_callback(self._look_at_role)
        return roles

    async def close(self) -> None:
        self._slots.followers.remove(self)
        if under_way := self._lanes.all():
            await asyncio.wait(under_way, timeout=self._timeout)
        for task in self._tasks:
            task.cancel()
        for shard in tuple(self._shards.values()):
            await shard.close()

    # --- what a shard says ---------------------------------------------------------------

    def redirected(self, call: Call, slot: int | None, server: Server, error: Exception) -> None:
        self._lanes.strayed(_slot(call))
        self._trouble = error
        call.tries += 1
        if slot is not None:
            self._slots.moved(slot, server)
        if call.tries > AT_ONCE:
            self._take_in([call])
        elif slot is None:
            self._shard(server).put_asking(call)
        else:
            self._shard(server).put(call)

    def handed_back(self, calls: list[Call], server: Server, error: BaseException | None) -> None:
        self._trouble = error
        self._note(server, False, type(error).__name__)
        fail([call for call in calls if not _has_key(call)], error)
        self._take_in([call for call in calls if _has_key(call)])

    def refused(self, error: ResponseError) -> None:
        self._slots.suspect()

    # --- inside --------------------------------------------------------------------------

    def _new_call(self, command: tuple[str | bytes | int | float, ...], once: bool) -> Call:
        return Call(command, once, self._loop.time() + self._timeout, self._loop.create_future())

    def _send(self, server: Server | None, call: Call) -> None:
        if server is None:
            self._take_in([call])
        else:
            self._shard(server).put(call)

    def _shard(self, server: Server) -> Shard:
        if server not in self._shards:
            self._shards[server] = Shard(
                server,
                self._connect(server),
                self,
                timeout=self._timeout,
                changed=lambda ok, why: self._note(server, ok, why),
            )
        return self._shards[server]

    def _take_in(self, calls: list[Call]) -> None:
        """Keep these until it is clear where they belong."""
        self._slots.suspect()
        for call in calls:
            self._lanes.strayed(_slot(call))
        self._homeless += calls
        if self._homeless and (self._bringing is None or self._bringing.done()):
            self._bringing = self._start(self._bring_home())

    async def _bring_home(self) -> None:
        while self._homeless:
            tries = max(call.tries for call in self._homeless)
            pause = min(FIRST_PAUSE * 2 ** min(tries, 10), LONGEST_PAUSE)
            ends = min(call.deadline for call in self._homeless)
            await asyncio.sleep(min(pause, ends - self._loop.time()))
            calls, self._homeless = self._homeless, []
            late = [call for call in calls if self._is_late(call)]
            fail(late, self._trouble)
            for call in calls:
                if not call.reply.done():
                    call.tries += 1
                    self._send(self._slots.owner(_slot(call)), call)

    def _is_late(self, call: Call) -> bool:
        return call.deadline <= self._loop.time() or call.tries >= self._max_retries

    def _look_at_role(self, role: Reply) -> None:
        if not role.cancelled() and not role.exception() and role.result()[0] != "master":
            self._slots.suspect()

    def _next_turns(self, _: Reply) -> None:
        while self._turns and self._turns[0][0].done():
            reply, turn = self._turns.popleft()
            error = TimeoutError() if reply.cancelled() else reply.exception()
            if turn.done():
                continue  # Nobody waits for it any more.
            if error:
                turn.set_exception(error)
            else:
                turn.set_result(reply.result())

    @property
    def misses(self) -> bool:
        return bool(self._lost)

    def look_round(self) -> None:
        masters = frozenset(self._slots.masters)
        for server in self._masters - masters:
            self._lost.discard(server)
            if shard := self._shards.pop(server, None):
                self._connects_before += shard.connects
                self._start(self._retire(shard))
        # A new one may lack what was written last: who counts the connections finds out.
        for server in masters - self._masters:
            ping = self._new_call(("PING",), once=False)
            ping.reply.add_done_callback(_ignore)
            self._shard(server).put(ping)
        self._masters = masters
        self._tell("another master has its slots")

    async def _retire(self, shard: Shard) -> None:
        try:
            shard.hurry()
            # Until all that it still has is handed back, or late.
            await asyncio.sleep(self._timeout)
        finally:
            await shard.close()

    def _note(self, server: Server, reached: bool, why: str) -> None:
        if reached:
            self._lost.discard(server)
        elif server in self._masters:
            self._lost.add(server)
            self._slots.suspect()
        self._tell(why)

    def _tell(self, why: str) -> None:
        """Say so when all masters are in reach now, or no longer are."""
        answered = any(shard.reached for shard in self._shards.values())
        if self.reached is not (reached := answered and not self._lost):
            self.reached = reached
            self._changed(reached, why)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _has_key(call: Call) -> bool:
    return call.command[0] not in ("PING", "INFO", "ROLE", *ASKING)


def _slot(call: Call) -> int:
    # Every command has one key, and nearly every one has it first.
    return slot_of(call.command[3] if call.command[0] == "EVAL" else call.command[1])


def _ignore(reply: Reply) -> None:
    if not reply.cancelled():
        reply.exception()
