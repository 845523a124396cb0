"""An API's side of direct messaging: one ordered queue per worker."""

from __future__ import annotations

import asyncio
import io
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from dsock.backends.redis.carrier import Answered, Mailboxes, Silent
from dsock.backends.redis.direct.address import Address, is_refused, parse_address
from dsock.backends.redis.direct.reception import ENVELOPE, MESSAGES
from dsock.backends.redis.directory import Directory
from dsock.errors import Unavailable
from dsock.http.server import KEEP_ALIVE
from dsock.wire.codec import (
    Answers,
    Letter,
    Unreadable,
    decode_answers,
    encode,
    encode_letters,
    is_channel_action,
)

AT_ONCE = 256
"""Letters that go to a worker in one request."""

MAX_ANSWER = 2**16
"""Bytes of an answer that are read."""

MAX_TROUBLES = 1000
"""Workers of which it is remembered what is in the way."""

LARGE = 2**18
"""Bytes from which a body is written in pieces, between which others have their turn."""

log = structlog.stdlib.get_logger("dsock.redis")


class _Refused(aiohttp.ClientError):
    """What answers does not take letters; the argument says why."""


@dataclass(frozen=True, slots=True)
class _Load:
    """A letter on its way to one worker; `taken` becomes known by its deadline."""

    letter: Letter
    payload: bytes
    taken: asyncio.Future[int]
    deadline: asyncio.TimerHandle

    def settle(self, takers: int) -> None:
        self.deadline.cancel()
        if not self.taken.done():
            self.taken.set_result(takers)

    def fail(self, error: Exception) -> None:
        self.deadline.cancel()
        _fail(self.taken, error)


class Couriers:
    """The carrier of `messaging_method=direct`. All that waits for a worker goes in one
    request, and the next leaves when that was answered. A worker that takes no direct
    messages gets its letters through its mailbox."""

    def __init__(
        self,
        answered: Answered,
        *,
        directory: Directory,
        mailboxes: Mailboxes,
        token: str,
        timeout: float,
    ) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._timeout = timeout
        self._answered = answered
        self._session = aiohttp.ClientSession(
            # One request at a time to each worker; a worker keeps it for longer.
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=KEEP_ALIVE / 2, resolver=_Resolver()
            ),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        self._queues: dict[str, deque[_Load]] = {}
        self._troubles: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._loop = asyncio.get_running_loop()

    def carry(self, workers: Iterable[str], letter: Letter) -> list[asyncio.Future[int]]:
        payload = encode(letter)
        return [self._accept(worker, letter, payload) for worker in workers]

    async def close(self) -> None:
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for queue in self._queues.values():
            _fail_all(queue, Silent())
        await self._session.close()

    def _accept(self, worker: str, letter: Letter, payload: bytes) -> asyncio.Future[int]:
        taken: asyncio.Future[int] = self._loop.create_future()
        deadline = self._loop.call_later(self._timeout, _fail, taken, Silent())
        load = _Load(letter, payload, taken, deadline)
        if self._closed:
            load.fail(Silent())
            return taken
        queue = self._queues.get(worker)
        if queue is None:
            queue = self._queues[worker] = deque()
            task = self._loop.create_task(self._work_off(worker, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        queue.append(load)
        if letter.reply_to:
            return taken
        # Nobody waits for what becomes of it: it is on its way.
        taken.add_done_callback(_ignore)
        on_its_way: asyncio.Future[int] = self._loop.create_future()
        on_its_way.set_result(1)
        return on_its_way

    async def _work_off(self, worker: str, queue: deque[_Load]) -> None:
        while queue:
            loads = _next(queue)
            if not loads:
                continue
            try:
                async with asyncio.timeout_at(loads[-1].deadline.when()):
                    await self._bring(worker, loads)
            except Unavailable as error:
                _fail_all(loads, error)
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                _fail_all(loads, Silent())
                said = str(error) if isinstance(error, _Refused) else type(error).__name__
                self._say(worker, said)
            except BaseException as error:
                _fail_all(loads, Silent())
                if not isinstance(error, Exception):
                    raise
                # A bug must not stop who comes next.
                log.exception("direct message failed", worker=worker)
        del self._queues[worker]

    async def _bring(self, worker: str, loads: list[_Load]) -> None:
        """Settle these letters, or raise what they all fail with."""
        address = await self._directory.address(worker)
        if address is None:
            await self._post(worker, loads)
            return
        try:
            answers = await self._request(worker, parse_address(address), loads)
        except aiohttp.ClientConnectorError as error:
            self._nobody_there(worker, loads, type(error.os_error).__name__)
            return
        except ValueError as error:
            self._nobody_there(worker, loads, str(error))
            return
        if answers is None:
            self._nobody_there(worker, loads, "another worker is there, or none")
            return
        self._say(worker, "")
        for load in loads:
            if load.letter.number in answers.late:
                load.fail(Silent())
            else:
                load.settle(1)
        for number, outcome in answers.outcomes:
            self._answered(worker, number, outcome)

    async def _post(self, worker: str, loads: list[_Load]) -> None:
        """Bring letters through the worker's mailbox."""
        posted = [self._mailboxes.carry((worker,), load.letter)[0] for load in loads]
        heard = await asyncio.gather(*posted, return_exceptions=True)
        for load, one in zip(loads, heard, strict=True):
            if isinstance(one, BaseException):
                load.fail(Unavailable())
            else:
                load.settle(one)

    async def _request(self, worker: str, address: Address, loads: list[_Load]) -> Answers | None:
        """What the worker answers; None when it is not there (any more)."""
        letters = ((load.payload, is_channel_action(load.letter.command)) for load in loads)
        body = encode_letters(worker, letters)
        async with self._session.post(
            f"http://{address}{MESSAGES}",
            data=body if len(body) < LARGE else io.BytesIO(body),
            allow_redirects=False,
        ) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            if response.status == HTTPStatus.UNAUTHORIZED:
                raise _Refused("it refuses the token: is it the same on all nodes?")
            if response.status != HTTPStatus.OK:
                raise _Refused(f"it answers with status {response.status}")
            answers = await _read(response)
        if answers is None or answers.worker != worker:
            raise _Refused("its answer is no worker's")
        return answers

    def _nobody_there(self, worker: str, loads: list[_Load], why: str) -> None:
        # It may be back elsewhere, under this or another id.
        self._directory.forget(worker)
        for load in loads:
            load.settle(0)
        self._say(worker, why)

    def _say(self, worker: str, trouble: str) -> None:
        """Log what is in the way of a worker when it changes, not at every letter."""
        if trouble == self._troubles.get(worker, ""):
            return
        if not trouble:
            del self._troubles[worker]
            log.info("direct messages are taken again", worker=worker)
            return
        self._troubles[worker] = trouble
        log.warning("cannot bring direct messages", worker=worker, why=trouble)
        if len(self._troubles) > MAX_TROUBLES:
            del self._troubles[next(iter(self._troubles))]


def _next(queue: deque[_Load]) -> list[_Load]:
    """What goes next, without those that were given up while they waited."""
    loads: list[_Load] = []
    size = 0
    while queue and len(loads) < AT_ONCE and size < ENVELOPE // 2:
        load = queue.popleft()
        if not load.taken.done():
            loads.append(load)
            size += len(load.payload)
    return loads


async def _read(response: aiohttp.ClientResponse) -> Answers | None:
    body = b""
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_ANSWER:
            return None
    try:
        mail = decode_answers(body)
    except Unreadable:
        return None
    return mail if isinstance(mail, Answers) else None


def _fail(taken: asyncio.Future[int], error: Exception) -> None:
    if not taken.done():
        taken.set_exception(error)


def _fail_all(loads: Iterable[_Load], error: Exception) -> None:
    for load in loads:
        load.fail(error)


def _ignore(taken: asyncio.Future[int]) -> None:
    if not taken.cancelled():
        taken.exception()


class _Resolver(AbstractResolver):
    """Names are looked up as everywhere, but none may lead where no worker can be."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [one for one in found if not is_refused(one["host"])]
        if not allowed:
            raise OSError(None, f"no worker can be at {host}")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()
