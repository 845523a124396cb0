"""One ordered connection to Redis.

What one turn of the event loop asks for goes out in one batch, and the next batch waits for
its replies: so everything happens in the order in which it was asked for, and a round trip
carries as much as there is. Nobody who waits for a reply can be given another's: replies
are read by one task, whoever is cancelled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dsock.backends.redis.calls import Connect, Reply
from dsock.backends.redis.connections import transport_of
from dsock.errors import Unavailable

MAX_BATCH = 1000
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two tries to connect."""

LEAST_PATIENCE = 0.25
"""Of `timeout`: how long Redis is waited for at least once something was sent. What had little
time left would otherwise cost the connection, and all that came after it."""

OUT_OF_REACH = (RedisConnectionError, RedisTimeoutError, TimeoutError, OSError)

log = structlog.stdlib.get_logger("dsock.redis")


@dataclass(slots=True)
class Call:
    command: tuple[str | bytes | int | float, ...]
    once: bool
    deadline: float
    reply: Reply
    after: tuple[Reply, ...] = ()
    tries: int = 0
    """On a Cluster: how often it was sent to another server."""


class Pipe:
    """`Calls` to one server: `call` asks; the reply is a future. `reached` says whether the
    last exchange worked, `connects` how often a connection was made."""

    def __init__(
        self,
        connect: Connect,
        *,
        timeout: float,
        max_retries: int,
        changed: Callable[[bool, str], None],
    ) -> None:
        self.reached = False
        self.connects = 0
        self._connect = connect
        self._timeout = timeout
        self._max_retries = max_retries
        self._changed = changed
        self._connection: AbstractConnection | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._connecting: asyncio.Task[AbstractConnection] | None = None
        self._outdated = False
        self._trouble: BaseException | None = None
        self._failures = 0
        self._exchanging: asyncio.Timeout | None = None
        self._refusals: set[str] = set()
        self._queue: deque[Call] = deque()
        self._asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    def call(
        self,
        *command: str | bytes | int | float,
        once: bool = False,
        after: Iterable[Reply] = (),
    ) -> Reply:
        # Whatever it is to come after was asked for before, and so happens before, or never.
        reply: Reply = self._loop.create_future()
        deadline = self._loop.time() + self._timeout
        self._put(Call(command, once, deadline, reply, tuple(after)))
        return reply

    def in_turn(self, reply: Reply) -> Reply:
        return reply

    def publish(self, channel: str, payload: bytes) -> Reply:
        return self.call("PUBLISH", channel, payload, once=True)

    def everywhere(self, *command: str) -> list[Reply]:
        return [self.call(*command)]

    def check(self) -> list[Reply]:
        return []

    def connect_anew(self) -> None:
        """Use another connection from the next exchange on: another server is the right
        one."""
        self._outdated = True

    async def close(self) -> None:
        waiting = [call.reply for call in self._queue]
        if waiting:
            await asyncio.wait(waiting, timeout=self._timeout)
        self._task.cancel()
        await asyncio.wait((self._task,))
        await self._disconnect()

    def _put(self, call: Call) -> None:
        self._queue.append(call)
        self._asked.set()

    async def _run(self) -> None:
        batch: list[Call] = []
        while True:
            if not batch and not self._queue:
                self._asked.clear()
                await self._asked.wait()
            # What is tried again goes before what came later.
            while self._queue and len(batch) < MAX_BATCH:
                batch.append(self._queue.popleft())
            try:
                batch = await self._exchange(batch)
            except Exception as error:
                # A bug must not leave anyone waiting for ever.
                log.exception("exchange with Redis failed")
                fail(batch, error)
                batch = []
                await self._disconnect()
            if batch:
                batch = await self._again(batch)
            if not batch:
                self._failures = 0

    async def _again(self, batch: list[Call]) -> list[Call]:
        """What of this is to be tried again, and when: now."""
        if self._connecting:
            # Only the patience of some of them has ended.
            return self._in_time(batch)
        self._failures += 1
        if self._failures > self._max_retries:
            fail(batch, self._trouble)
            return []
        await asyncio.sleep(min(FIRST_PAUSE * 2 ** min(self._failures, 10), LONGEST_PAUSE))
        return self._in_time(batch)

    def _in_time(self, batch: list[Call]) -> list[Call]:
        now = self._loop.time()
        for call in batch:
            if call.deadline <= now or any(map(_has_failed, call.after)):
                fail([call], self._trouble)
        return [call for call in batch if not call.reply.done()]

    async def _exchange(self, batch: list[Call]) -> list[Call]:
        """Send a batch and give out its replies; returns what is to be tried again."""
        batch = self._in_time(batch)
        if not batch:
            return []
        sent = answered = 0
        try:
            connection = self._usable
            if connection is None:
                async with asyncio.timeout_at(batch[0].deadline) as self._exchanging:
                    connection = await self._connect_again()
                # It may have taken as long as some of them had.
                batch = self._in_time(batch)
                if not batch:
                    return []
            patience = self._loop.time() + LEAST_PATIENCE * self._timeout
            deadline = max(batch[0].deadline, patience)
            async with asyncio.timeout_at(deadline) as self._exchanging:
                packed = b"".join([_pack(call) for call in batch])
                sent = len(batch)
                await connection.send_packed_command(packed, check_health=False)
                for call in batch:
                    try:
                        reply = await connection.read_response()
                    except (BusyLoadingError, ReadOnlyError):
                        # It is starting, or no longer the one that takes writes: connect
                        # anew, and perhaps to another.
                        raise
                    except ResponseError as error:
                        self._refused(call, error)
                    else:
                        if self._refusals:
                            self._refusals.discard(str(call.command[0]))
                        _answer(call, reply)
                    answered += 1
        except (*OUT_OF_REACH, RedisError) as error:
            # That a try was cut short by its deadline says less than how the one before failed.
            if not (self._trouble and isinstance(error, TimeoutError)):
                self._trouble = error
            if not self._connecting:
                await self._disconnect()
            self._report(False, type(error).__name__)
            unanswered = batch[answered:]
            if sent:
                fail([call for call in unanswered if call.once], error)
            return [call for call in unanswered if not call.reply.done()]
        self._trouble = None
        self._report(True, "it answers")
        return []

    @property
    def _usable(self) -> AbstractConnection | None:
        # Nothing can be sent any more on one that was reset while nobody asked.
        lost = self._outdated or (self._transport and self._transport.is_closing())
        return None if lost else self._connection

    async def _connect_again(self) -> AbstractConnection:
        if self._outdated or self._connection is not None:
            await self._disconnect()
        self._outdated = False
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._connect_in_time())
        # It goes on though whoever has asked first has no more time: others have.
        await asyncio.wait((self._connecting,))
        connecting, self._connecting = self._connecting, None
        self._connection = connection = connecting.result()
        self._transport = transport_of(connection)
        self.connects += 1
        return connection

    async def _connect_in_time(self) -> AbstractConnection:
        async with asyncio.timeout(self._timeout):
            return await self._connect()

    async def _disconnect(self) -> None:
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
            await asyncio.wait((connecting,))
            if not connecting.cancelled() and connecting.exception() is None:
                await connecting.result().disconnect(nowait=True)
        connection, self._connection = self._connection, None
        transport, self._transport = self._transport, None
        if transport is not None:
            # What it still has to bring was given up: it must not come late.
            transport.abort()
        if connection is not None:
            await connection.disconnect(nowait=True)

    def _refused(self, call: Call, error: ResponseError) -> None:
        # Its text may repeat what was sent: only its kind is told, and once.
        kind, command = type(error).__name__, str(call.command[0])
        if command not in self._refusals:
            self._refusals.add(command)
            log.error("Redis refuses a command", kind=kind, command=command)
        fail([call], error)

    def _report(self, reached: bool, why: str) -> None:
        if reached is not self.reached:
            self.reached = reached
            self._changed(reached, why)


def _pack(call: Call) -> bytes:
    words = call.command
    try:
        return _packed(words)
    except UnicodeEncodeError:
        # A stranger's words may be no text: they name nothing, and no call beside them fails.
        return _packed(
            tuple(one.encode(errors="replace") if isinstance(one, str) else one for one in words)
        )


def _packed(words: tuple[str | bytes | int | float, ...]) -> bytes:
    # Its stub says that a command has but one word.
    packed: bytes = pack_command(words)  # type: ignore[arg-type]
    return packed


def _has_failed(reply: Reply) -> bool:
    return reply.done() and (reply.cancelled() or reply.exception() is not None)


def _answer(call: Call, reply: Any) -> None:
    if not call.reply.done():
        call.reply.set_result(reply)


def fail(calls: list[Call], cause: BaseException | None) -> None:
    for call in calls:
        if not call.reply.done():
            error = Unavailable()
            error.__cause__ = cause
            call.reply.set_exception(error)
