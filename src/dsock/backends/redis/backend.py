"""The parts of the Redis backend, put together."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import AuthenticationError, MovedError, ResponseError

from dsock.backends.base import Recipient
from dsock.backends.redis.calls import NotThere
from dsock.backends.redis.carrier import Mailboxes, NewCarrier
from dsock.backends.redis.claims import Claims
from dsock.backends.redis.connections import shown_address
from dsock.backends.redis.direct.reception import Reception
from dsock.backends.redis.directory import Directory
from dsock.backends.redis.membership import Lives, RedisMembership
from dsock.backends.redis.publisher import Publisher
from dsock.backends.redis.reaper import Reaper
from dsock.backends.redis.records import Records
from dsock.backends.redis.topology import topology_of
from dsock.backends.redis.watch import Watch
from dsock.claim import Claim, ClaimRequest
from dsock.command import Command
from dsock.errors import StartError, Unavailable
from dsock.events import BackendReached, Notify
from dsock.http.gate import gate_of
from dsock.presence import Info
from dsock.report import Report
from dsock.settings import Settings
from dsock.target import Target


class RedisBackend:
    """A `Backend`. All writes and publishes go through one pipe; long reads through a
    second, so that they hold nothing up."""

    def __init__(
        self, settings: Settings, notify: Notify, *, publishes: bool, address: str
    ) -> None:
        self._settings = settings
        self._notify = notify
        self._topology = topology = topology_of(settings)
        self._keys = topology.keys
        self._writes = topology.pipe(lambda ok, why: notify(BackendReached(ok, why)))
        self._reads = topology.pipe(lambda ok, why: None)
        self._claims = Claims(self._writes, self._keys)
        self._records = Records(self._reads, self._keys)
        self._reaper = Reaper(self._writes, self._keys)
        # What a dead worker has left may be much: it holds up nobody on a pipe of its own.
        self._tidying = topology.pipe(lambda ok, why: None)
        reaper = Reaper(self._tidying, self._keys)
        self._watch = Watch(self._reads, self._keys, reaper, settings.worker_lease, notify)
        self._lives = Lives(refresh=settings.ttl_duration, lease=settings.worker_lease)
        self._address = address
        self.reception = (
            Reception(gate_of(settings, notify), settings.max_message_size, notify)
            if address
            else None
        )
        """What takes direct messages for the workers here."""
        self._publisher = self._new_publisher() if publishes else None

    def _new_publisher(self) -> Publisher:
        settings = self._settings
        direct = settings.messaging_method == "direct"
        mailboxes = Mailboxes(self._writes, self._keys, counts=not direct)
        directory = Directory(self._reads, self._keys, settings.messaging_method, self._notify)
        return Publisher(
            writes=self._writes,
            reads=self._reads,
            keys=self._keys,
            watch=self._watch,
            directory=directory,
            mailboxes=mailboxes,
            new_carrier=_couriers(settings, directory, mailboxes)
            if direct
            else lambda _: mailboxes,
            report_timeout=settings.report_timeout,
            patience=settings.redis_timeout,
            new_mailbox=self._topology.mailbox,
            notify=self._notify,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, notify: Notify, *, publishes: bool, address: str = ""
    ) -> AsyncIterator[RedisBackend]:
        """A backend that has reached Redis; `publishes` for a node with an API, `address`
        (host:port) for one whose worker takes direct messages there. Raises `StartError`
        when Redis does not answer."""
        self = cls(settings, notify, publishes=publishes, address=address)
        try:
            try:
                await self._topology.open()
                _, facts, *_ = await asyncio.gather(
                    self._watch.look(),
                    self._writes.everywhere("INFO", "server")[0],
                    *self._writes.everywhere("PING"),
                )
                if self._keys.shared and "_mode:cluster" in facts:
                    raise StartError(_is_clustered(settings))
            except Unavailable as error:
                raise StartError(_unreachable(settings, error)) from None
            tasks = [self._watch.run()]
            if self._publisher:
                tasks.append(self._publisher.run())
            async with _running(*tasks):
                if self._publisher and not self._keys.shared:
                    # Each worker is told by name: all must be known.
                    await self._watch.settle()
                yield self
        finally:
            self._claims.close()
            if self._publisher:
                await self._publisher.close()
            await self._tidying.close()
            await self._reads.close()
            await self._writes.close()
            await self._topology.close()

    @property
    def ready(self) -> bool:
        hears = self._publisher is None or self._publisher.hears
        return hears and self._writes.reached and self._watch.sees

    async def create_claim(self, request: ClaimRequest) -> None:
        await self._claims.create(request)

    async def read_claim(self, id: str) -> Claim | None:
        return await self._claims.read(id)

    async def void_claims(self, target: Target) -> None:
        await self._claims.void(target)

    async def move_claims(self, target: Target, channel: str, subscribed: bool) -> None:
        await self._claims.move(target, channel, subscribed)

    async def publish(self, command: Command, wait: bool = True) -> Report:
        if self._publisher is None:
            raise Unavailable
        return await self._publisher.publish(command, wait)

    async def info(self, target: Target) -> Info:
        return Info(await self._records.select(target), await self._claims.select(target))

    @asynccontextmanager
    async def join(self, worker: Recipient) -> AsyncIterator[RedisMembership]:
        membership = RedisMembership(
            worker,
            pipe=self._writes,
            keys=self._keys,
            claims=self._claims,
            reaper=self._reaper,
            lives=self._lives,
            new_mailbox=self._topology.mailbox,
            method=self._settings.messaging_method,
            address=self._address,
            notify=self._notify,
        )
        if self.reception:
            # To the end: a letter may be under way to a worker that has just left.
            self.reception.postboxes.add(membership.postbox)
        try:
            async with _running(membership.run()):
                await membership.entered()
                yield membership
        finally:
            await membership.leave()


def _couriers(settings: Settings, directory: Directory, mailboxes: Mailboxes) -> NewCarrier:
    # Only who uses it waits for its library to load.
    from dsock.backends.redis.direct.couriers import Couriers

    return functools.partial(
        Couriers,
        directory=directory,
        mailboxes=mailboxes,
        token=settings.token[0] if settings.token else "",
        timeout=settings.report_timeout,
    )


def _unreachable(settings: Settings, error: Unavailable) -> str:
    where, cause = shown_address(settings), error.__cause__
    if isinstance(cause, NotThere):
        return str(cause)
    if isinstance(cause, MovedError):
        return _is_clustered(settings)
    if isinstance(cause, AuthenticationError):
        return f"Redis at {where} refuses the user or password"
    if isinstance(cause, ResponseError):
        return f"Redis at {where} refuses a command: {type(cause).__name__}"
    for one in _causes(cause):
        if isinstance(one, ssl.SSLError):
            reason = getattr(one, "verify_message", "") or one.reason or type(one).__name__
            return f"cannot agree with Redis at {where} on TLS: {reason}"
        if isinstance(one, OSError) and one.strerror:
            return f"cannot reach Redis at {where}: {one.strerror}"
    hint = " (is it one with TLS, and are you meant to use it?)" if settings.redis_tls else ""
    return f"cannot reach Redis at {where}: no answer in time{hint}"


def _is_clustered(settings: Settings) -> str:
    return f"Redis at {shown_address(settings)} is a node of a Cluster: set redis_mode=cluster"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@asynccontextmanager
async def _running(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
