"""A subscription that knows whether it hears.

A pub/sub connection can go deaf without an error. So its owner sends itself a probe every
second, and a mailbox that has heard none for a while is built anew.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import structlog
from redis.exceptions import RedisError

from dsock.backends.redis.calls import Connect
from dsock.backends.redis.pipe import OUT_OF_REACH

DEAF_AFTER = 3.0
"""Seconds without a probe after which a mailbox counts as deaf."""

TRY = 2.0
"""Seconds that a connection may take to be made, and as many to be subscribed. A network that
drops everything answers no sooner for being waited for."""

QUIET = 1.0
"""Seconds without anything: who is only behind with what comes in is not deaf."""

SLICE = 0.002
"""Seconds for which what has come in may hold the loop at a time."""

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5

log = structlog.stdlib.get_logger("dsock.redis")


Receive = Callable[[str, bytes], None]
"""Takes the channel and the payload of what has come in."""


class Mailbox:
    """Listens on `channels`; `receive` gets each payload, in the order of Redis.

    `round` counts the subscriptions: what was published between two of them was not heard.
    """

    _subscribe, _message = "SUBSCRIBE", b"message"

    def __init__(
        self,
        connect: Connect,
        channels: Sequence[str],
        receive: Receive,
        subscribed: Callable[[], None],
    ) -> None:
        self.round = 0
        self.trouble: str | None = None
        """Why it could not subscribe last, if it could not."""
        self.probe = uuid4().hex
        """What this mailbox expects to hear from itself."""
        self._channels = tuple(channels)
        self._connect = connect
        self._receive = receive
        self._subscribed = subscribed
        self._heard_at = self._received_at = -math.inf
        self._loop = asyncio.get_running_loop()
        self._lost_at = self._loop.time()
        self._hearing = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._task = self._loop.create_task(self._run())

    @property
    def hears(self) -> bool:
        """Whether it is subscribed and has heard a probe (or begun) lately."""
        return self._loop.time() - self._heard_at < DEAF_AFTER

    async def hears_soon(self, within: float) -> bool:
        """Whether it hears, or subscribes anew before it has lacked a subscription for
        `within` seconds: a connection is lost, and a slot moves, in a moment."""
        self.check()
        if not self.hears:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._lost_at + within):
                    await self._hearing.wait()
        return self.hears

    def probed(self, probe: str) -> bool:
        """To be called when a probe comes in; says whether it is this mailbox's own."""
        if probe != self.probe:
            return False
        self._heard_at = self._loop.time()
        return True

    def check(self) -> None:
        """To be called every second: a deaf subscription is given up for a new one. One that is
        still being made has `TRY` for it."""
        is_quiet = self._loop.time() - self._received_at >= QUIET
        if self._hearing.is_set() and not self.hears and is_quiet:
            self.rebuild()

    def rebuild(self, channels: Sequence[str] | None = None) -> None:
        """Subscribe anew, perhaps to other channels."""
        if channels is not None:
            self._channels = tuple(channels)
        self._lose()
        if self._listening is not None:
            self._listening.cancel()

    async def close(self) -> None:
        """Stop listening."""
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        failures = 0
        while True:
            before = self.round
            self._listening = self._loop.create_task(self._listen())
            try:
                await asyncio.wait((self._listening,))
            finally:
                self._listening.cancel()
            listening, self._listening = self._listening, None
            self._lose()
            self._say_why(None if listening.cancelled() else listening.exception())
            failures = 0 if self.round > before else failures + 1
            await asyncio.sleep(min(FIRST_PAUSE * 2 ** min(failures, 10), LONGEST_PAUSE))

    def _lose(self) -> None:
        if self._hearing.is_set():
            self._hearing.clear()
            self._lost_at = self._loop.time()
        self._heard_at = -math.inf

    def _heard(self, reply: Any) -> None:
        if reply[0] == self._message:
            self._received_at = self._loop.time()
            self._receive(reply[1].decode(), reply[2])

    def _say_why(self, error: BaseException | None) -> None:
        trouble = type(error).__name__ if error else None
        # That Redis is out of reach, the pipe has said.
        if trouble and trouble != self.trouble and not isinstance(error, OUT_OF_REACH):
            known = isinstance(error, RedisError)
            log.error("cannot subscribe", kind=trouble, exc_info=None if known else error)
        self.trouble = trouble

    async def _listen(self) -> None:
        async with asyncio.timeout(TRY):
            connection = await self._connect()
        try:
            async with asyncio.timeout(TRY):
                await connection.send_command(self._subscribe, *self._channels, check_health=False)
                for _ in self._channels:
                    await connection.read_response(timeout=math.inf)
            self.trouble = None
            self.round += 1
            self._heard_at = self._loop.time()
            self._hearing.set()
            self._subscribed()
            end = time.perf_counter() + SLICE
            while True:
                self._heard(await connection.read_response(timeout=math.inf))
                # What is there already is read without giving up the loop.
                if time.perf_counter() >= end:
                    await asyncio.sleep(0)
                    end = time.perf_counter() + SLICE
        finally:
            await connection.disconnect(nowait=True)


NewMailbox = Callable[[tuple[str, ...], Receive, Callable[[], None]], Mailbox]
"""Makes a mailbox on these channels; the last argument is called when it is subscribed."""
