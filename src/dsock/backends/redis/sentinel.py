"""Which Redis is the master, as its Sentinels say.

They are asked at every connect and every now and then, all at the same time: one of them may
have been away, and name the master of before. The one with the highest epoch counts, as
among themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from dsock.backends.redis.calls import NotThere
from dsock.backends.redis.connections import (
    Dial,
    Server,
    connected,
    dialer,
    sentinel_dialer,
    sentinels,
)
from dsock.backends.redis.one_server import OneServer
from dsock.backends.redis.pipe import OUT_OF_REACH
from dsock.settings import Settings

PATIENCE = 0.5
"""Seconds for which those that do not answer are waited for, once one has answered."""

EVERY = 2.0
"""Seconds between two questions while all seems well: a master that was replaced, but is
still there, is told so by them only after 8 s or more."""

log = structlog.stdlib.get_logger("dsock.redis")


class WatchedServer(OneServer):
    """A `Topology` in which Sentinels name the server."""

    def __init__(self, settings: Settings) -> None:
        name, dial = settings.redis_sentinel_master, sentinel_dialer(settings)
        self._sentinels = Sentinels(sentinels(settings), name, dial, self._changed)
        decoded, raw = dialer(settings, decode=True), dialer(settings)
        self._following: asyncio.Task[None] | None = None
        super().__init__(
            settings,
            lambda: self._sentinels.connect(decoded),
            lambda: self._sentinels.connect(raw),
        )

    async def open(self) -> None:
        self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._following:
            self._following.cancel()
            await asyncio.wait((self._following,))

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            before = self._sentinels.master
            try:
                now = await self._sentinels.ask()
            except (*OUT_OF_REACH, RedisError):
                continue  # The one that is in use may be well.
            except Exception:
                log.exception("asking the Sentinels failed")
                continue
            # If it was connected anew meanwhile, that is as true as this.
            if before == self._sentinels.master and before not in (None, now):
                self._sentinels.master = now
                self._changed()

    def _changed(self) -> None:
        log.warning("the Sentinels name another master")
        self._connect_anew()


class Sentinels:
    """Finds the master called `name`; `dial` is how to reach a Sentinel. `changed` is called when
    one is connected to that is another than before: other connections may still be to that."""

    def __init__(
        self, servers: Sequence[Server], name: str, dial: Dial, changed: Callable[[], None]
    ) -> None:
        self._servers = servers
        self._name = name
        self._dial = dial
        self._changed = changed
        self.master: Server | None = None
        """Who was last found to be it."""

    async def connect(self, dial: Dial) -> AbstractConnection:
        """A connection to the master. Raises what redis-py raises, or `OSError`."""
        server = await self.ask()
        connection = await connected(dial(server))
        try:
            role, *_ = await _ask(connection, "ROLE")
            # It may have been demoted since: nothing is ever written to a replica.
            if role not in ("master", b"master"):
                raise RedisConnectionError("the server that the Sentinels name is no master")
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        before, self.master = self.master, server
        if before not in (None, server):
            self._changed()
        return connection

    async def ask(self) -> Server:
        """The master that they name. Raises what redis-py raises, or `OSError`."""
        asked = [asyncio.create_task(self._ask(one)) for one in self._servers]
        try:
            done, _ = await asyncio.wait(asked, timeout=PATIENCE)
            while not done or all(one.exception() for one in done):
                if len(done) == len(asked):
                    raise self._why_none([one.exception() for one in asked])
                more = [one for one in asked if one not in done]
                done |= (await asyncio.wait(more, return_when=asyncio.FIRST_COMPLETED))[0]
        finally:
            for one in asked:
                one.cancel()
            await asyncio.wait(asked)
        _, server = max(one.result() for one in done if one.exception() is None)
        return server

    async def _ask(self, sentinel: Server) -> tuple[int, Server]:
        """The epoch of what a Sentinel knows, and the master that it names."""
        connection = await connected(self._dial(sentinel))
        try:
            # While it fails over this names the new one first.
            found = await _ask(connection, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
            if found is None:
                raise NotThere(f"the Sentinels know no master named {self._name!r}")
            facts = await _ask(connection, "SENTINEL", "MASTER", self._name)
        finally:
            await connection.disconnect(nowait=True)
        epoch = dict(zip(facts[::2], facts[1::2], strict=True))["config-epoch"]
        return int(epoch), Server(found[0], int(found[1]))

    def _why_none(self, errors: Sequence[BaseException | None]) -> BaseException:
        for error in errors:
            if isinstance(error, NotThere):
                return error
            if isinstance(error, AuthenticationError):
                return NotThere("the Sentinels refuse redis_sentinel_password, or want one")
        first = errors[0]
        if isinstance(first, RedisError) and not isinstance(first, RedisConnectionError):
            return NotThere(f"what redis_sentinels names is no Sentinel: {type(first).__name__}")
        return first or RedisConnectionError("no Sentinel answers")


async def _ask(connection: AbstractConnection, *command: str) -> Any:
    await connection.send_command(*command, check_health=False)
    return await connection.read_response()
