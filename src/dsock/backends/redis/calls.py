"""What commands to Redis go through: one pipe, or on a Cluster one to each master."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

Reply = asyncio.Future[Any]

Connect = Callable[[], Awaitable[AbstractConnection]]
"""Connects to the Redis that is the right one at this moment."""


class NotThere(RedisConnectionError):
    """What answers is not what the options say; the text is for a person."""


class Calls(Protocol):
    """Commands on one key happen in the order in which they are asked for. Those on several
    keys only where `after` says so: one pipe keeps their order anyway, a Cluster does not."""

    @property
    def reached(self) -> bool:
        """Whether the last exchange worked, with each server."""

    @property
    def connects(self) -> int:
        """How often a connection was made: each time, Redis may be another one."""

    def call(
        self,
        *command: str | bytes | int | float,
        once: bool = False,
        after: Iterable[Reply] = (),
    ) -> Reply:
        """Ask for one command, which happens after those that `after` stands for.

        With `once` it is sent at most once: a command that may not happen twice. The future
        raises `Unavailable` when Redis does not answer in time, or answers with an error;
        then the command may or may not have happened.
        """

    def in_turn(self, reply: Reply) -> Reply:
        """This reply, but not before those that were asked to be in turn earlier: those of
        one pipe are anyway."""

    def publish(self, channel: str, payload: bytes) -> Reply:
        """Tell a channel, once at most; the reply is how many have got it."""

    def everywhere(self, *command: str) -> list[Reply]:
        """Ask every server that has keys."""

    def check(self) -> list[Reply]:
        """Find out about servers that nobody may have asked anything lately; none where
        there is but one, about which every call finds out."""

    async def close(self) -> None:
        """Finish what was asked for, then disconnect."""
