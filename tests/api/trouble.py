"""Nodes in every kind of trouble that a call can be answered with."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import jwt
import pytest

from dsock.backends.base import Held, Recipient
from dsock.backends.memory import MemoryBackend, MemoryMembership
from dsock.claim import Claim, ClaimRequest
from dsock.command import Command
from dsock.errors import ErrorMarshallingMessage
from dsock.http.rules import Rules
from dsock.node import Node
from dsock.presence import Info
from dsock.report import Report
from dsock.target import Target
from dsock.worker.registry import Registry
from tests.support.cluster import JWT_SECRET, node_up
from tests.support.redis_server import RedisServer
from tests.support.wire import dial, handshake, open_wire, request

LIMIT = 100
"""Bytes that a message may have on these nodes."""

GHOST = "22222222-2222-2222-2222-222222222222"


class Failing(MemoryBackend):
    """Every call raises `error`; being asked whether it is ready raises `ready_error`."""

    def __init__(self, error: Exception, ready_error: Exception | None = None) -> None:
        super().__init__()
        self._error = error
        self._ready_error = ready_error

    @property
    def ready(self) -> bool:
        if self._ready_error:
            raise self._ready_error
        return True

    async def create_claim(self, request: ClaimRequest) -> None:
        raise self._error

    async def read_claim(self, id: str) -> Claim | None:
        raise self._error

    async def void_claims(self, target: Target) -> None:
        raise self._error

    async def move_claims(self, target: Target, channel: str, subscribed: bool) -> None:
        raise self._error

    async def publish(self, command: Command, wait: bool = True) -> Report:
        raise self._error

    async def info(self, target: Target) -> Info:
        raise self._error

    @asynccontextmanager
    async def join(self, worker: Recipient) -> AsyncIterator[MemoryMembership]:
        async with super().join(worker) as member:
            failing = _FailingMembership(member.id, worker, self._claims)
            failing.error = self._error
            yield failing


class _FailingMembership(MemoryMembership):
    error: Exception

    async def record(self, connection: Held) -> None:
        raise self.error


class Deaf(MemoryBackend):
    """Nothing can be asked of it, and its worker hears nothing."""

    ready = False

    @asynccontextmanager
    async def join(self, worker: Recipient) -> AsyncIterator[MemoryMembership]:
        async with super().join(worker) as member:
            member.ready = False
            yield member


@asynccontextmanager
async def healthy() -> AsyncIterator[tuple[Node, str]]:
    """Nothing is wrong but what is asked."""
    origins = ("https://example.com",)
    async with node_up("serve", max_message_size=LIMIT, allowed_origins=origins) as up:
        yield up


@asynccontextmanager
async def on(backend: MemoryBackend) -> AsyncIterator[tuple[Node, str]]:
    """A node on this backend."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dsock.node.MemoryBackend", lambda: backend)
        async with node_up("serve") as up:
            yield up


@asynccontextmanager
async def broken() -> AsyncIterator[tuple[Node, str]]:
    """A node with a mistake wherever one can be."""

    def sizes(_: Registry[Any]) -> Any:
        raise ZeroDivisionError

    mistake = ZeroDivisionError()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "sizes", sizes)
        async with on(Failing(mistake, ready_error=mistake)) as up:
            yield up


class Speechless(MemoryBackend):
    """What it is told, it cannot put into words."""

    async def publish(self, command: Command, wait: bool = True) -> Report:
        raise ErrorMarshallingMessage


def speechless() -> AbstractAsyncContextManager[tuple[Node, str]]:
    """A node that cannot encode what it has to tell."""
    return on(Speechless())


@asynccontextmanager
async def draining() -> AsyncIterator[tuple[Node, str]]:
    """A node that has closed its clients and not yet ended."""
    async with node_up("serve", drain_duration=0.0) as (node, address):
        await node.drain()
        yield node, address


@asynccontextmanager
async def impatient() -> AsyncIterator[tuple[Node, str]]:
    """A node that waits for a request as long as a node does, only less long."""
    rules = Node.rules

    def shorter(node: Node) -> Rules:
        return dataclasses.replace(rules(node), header_timeout=0.2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Node, "rules", shorter)
        async with node_up("serve") as up:
            yield up


@asynccontextmanager
async def occupied(**limits: int) -> AsyncIterator[tuple[Node, str]]:
    """A node with these limits, on which the user 1 has a connection. No time goes by."""
    credential = jwt.encode({"sub": "1", "exp": 2**32}, JWT_SECRET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dsock.worker.admission.monotonic", lambda: 0.0)
        async with node_up("serve", **limits) as up, open_wire(up[1], f"jwt={credential}"):
            yield up


@asynccontextmanager
async def wary() -> AsyncIterator[tuple[Node, str]]:
    """A node that was shown one wrong token and one wrong claim, and has enough of that."""
    async with node_up("serve", max_token_failures=1, max_connect_failures=1) as up:
        for guess in (request("GET", "/info?token=wrong"), handshake("/connect?claim=wrong")):
            async with dial(up[1]) as wire:
                await wire.send(guess)
                assert (await wire.response()).status == 401
        yield up


@asynccontextmanager
async def on_redis(server: RedisServer) -> AsyncIterator[tuple[Node, str]]:
    """A node on a Redis where a worker does not answer, and where another program has
    stored claims."""
    with server.client() as redis:
        redis.zadd("workers", {GHOST: 0})
        redis.sadd("user-workers:ghost", GHOST)
        redis.hset("claim:ended-claim", mapping={"user": "1", "expiration": "2020-01-01T00:00:00Z"})
        redis.hset("claim:odd-claim", mapping={"user": "1", "expiration": "soon"})
    async with node_up("serve", redis_host=server.address, report_timeout=0.3) as up:
        yield up
