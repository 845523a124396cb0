"""An API's side of direct messaging: one ordered queue per worker."""

from __future__ import annotations

import asyncio
import io
import socket
from collections import deque
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from dsock.backends.redis.carrier import Answered, Mailboxes, Silent
from dsock.backends.redis.direct.address import is_refused, parse_address
from dsock.backends.redis.direct.reception import ACTIONS, MESSAGES
from dsock.backends.redis.directory import Directory
from dsock.errors import Unavailable
from dsock.wire.codec import Answers, Letter, Unreadable, decode_answers, encode, is_channel_action

KEPT = 30.0
"""Seconds for which an idle connection is kept; less than a worker keeps it."""

AT_A_TIME = 64
"""Connections to one worker: one brings letters, the others wait for answers."""

MAX_ANSWER = 2**16
"""Bytes of an answer that are read."""

MAX_TROUBLES = 1000
"""Workers of which it is remembered what is in the way."""

LARGE = 2**18
"""Bytes from which a letter is large."""

log = structlog.stdlib.get_logger("dsock.redis")


class Couriers:
    """The carrier of `messaging_method=direct`. A worker that takes no direct messages gets
    its letters through its mailbox."""

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
            connector=aiohttp.TCPConnector(
                limit=0, limit_per_host=AT_A_TIME, keepalive_timeout=KEPT, resolver=_Resolver()
            ),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        self._queues: dict[str, deque[_Load]] = {}
        self._troubles: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def carry(self, workers: Iterable[str], letter: Letter) -> list[asyncio.Future[int]]:
        return [self._accept(worker, letter._replace(worker=worker)) for worker in workers]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for queue in self._queues.values():
            for load in queue:
                load.fail(Silent())
        await self._session.close()

    def _accept(self, worker: str, letter: Letter) -> asyncio.Future[int]:
        load = _Load(
            letter, encode(letter), self._loop.time() + self._timeout, self._loop.create_future()
        )
        queue = self._queues.get(worker)
        if queue is None:
            queue = self._queues[worker] = deque()
            self._spawn(self._work_off(worker, queue))
        queue.append(load)
        return load.taken

    async def _work_off(self, worker: str, queue: deque[_Load]) -> None:
        """Bring one letter after the other: the next leaves when the last one was taken."""
        while queue:
            await self._bring(worker, queue.popleft())
        del self._queues[worker]

    async def _bring(self, worker: str, load: _Load) -> None:
        try:
            # Who asked has had an answer by then: nothing leaves any more.
            if self._loop.time() >= load.deadline:
                raise TimeoutError
            async with asyncio.timeout_at(load.deadline):
                load.tell(await self._hand_over(worker, load.letter, load.payload))
        except TimeoutError:
            load.fail(Silent())
            self._say(worker, "it does not answer in time")
        except aiohttp.ClientConnectorError as error:
            # Nothing was sent. It may be back elsewhere, under this or another id.
            self._directory.forget(worker)
            load.tell(0)
            self._say(worker, type(error.os_error).__name__)
        except (aiohttp.ClientError, OSError) as error:
            load.fail(Silent())
            self._say(worker, type(error).__name__)
        except Unavailable as error:
            load.fail(error)
        except asyncio.CancelledError:
            load.fail(Silent())
            raise
        except Exception:
            # A bug must not leave anyone waiting, nor stop who comes next.
            log.exception("direct message failed", worker=worker)
            load.fail(Silent())

    async def _hand_over(self, worker: str, letter: Letter, payload: bytes) -> int:
        text = await self._directory.address(worker)
        if text is None:
            [published] = self._mailboxes.carry((worker,), letter)
            return await published
        try:
            address = parse_address(text)
        except ValueError as error:
            self._say(worker, str(error))
            return 0
        path = ACTIONS if is_channel_action(letter.command) else MESSAGES
        # A long one is written in pieces, between which others have their turn.
        data = payload if len(payload) < LARGE else io.BytesIO(payload)
        response = await self._session.post(
            f"http://{address}{path}", data=data, allow_redirects=False
        )
        # Its head is the worker's word that the command has its place; its body the outcome.
        if response.status == HTTPStatus.OK and letter.reply_to:
            self._spawn(self._read(worker, letter, response))
            self._say(worker, "")
            return 1
        response.release()
        if response.status == HTTPStatus.OK:
            self._say(worker, "")
            return 1
        if response.status == HTTPStatus.NOT_FOUND:
            # Another worker is there now.
            self._directory.forget(worker)
            return 0
        self._say(worker, f"status {response.status}")
        raise Silent

    async def _read(self, worker: str, letter: Letter, response: aiohttp.ClientResponse) -> None:
        outcome = None
        try:
            async with asyncio.timeout(self._timeout):
                mail = decode_answers(await _body(response))
            if isinstance(mail, Answers):
                outcome = dict(mail.outcomes).get(letter.number)
        except (TimeoutError, Unreadable, aiohttp.ClientError, OSError):
            pass  # `outcome` says it.
        finally:
            response.release()
            self._answered(worker, letter.number, outcome)

    def _say(self, worker: str, trouble: str) -> None:
        """Log what is in the way of a worker when it changes, not at every letter."""
        if trouble != self._troubles.get(worker, ""):
            if trouble:
                self._troubles[worker] = trouble
                if len(self._troubles) > MAX_TROUBLES:
                    del self._troubles[next(iter(self._troubles))]
                log.warning("cannot bring direct messages", worker=worker, why=trouble)
            else:
                del self._troubles[worker]
                log.info("direct messages are taken again", worker=worker)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_ANSWER:
            raise Unreadable
    return body


@dataclass(frozen=True, slots=True)
class _Load:
    """A letter on its way, by when it must be there, and whether it was taken."""

    letter: Letter
    payload: bytes
    deadline: float
    taken: asyncio.Future[int]

    def tell(self, takers: int) -> None:
        if not self.taken.done():
            self.taken.set_result(takers)

    def fail(self, error: Exception) -> None:
        if not self.taken.done():
            self.taken.set_exception(error)


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
            raise OSError(None, "no worker can be there")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()
