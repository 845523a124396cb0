"""An API node's side of commands: whom to tell, and what they answer."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import structlog

from dsock.backends.redis.calls import Calls
from dsock.backends.redis.carrier import Mailboxes, NewCarrier
from dsock.backends.redis.directory import Directory
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.mailbox import NewMailbox
from dsock.backends.redis.records import Records
from dsock.backends.redis.watch import Watch
from dsock.command import Command
from dsock.errors import Unavailable
from dsock.events import Notify, PayloadDropped
from dsock.report import Outcome, Report
from dsock.target import Target, ToConnection
from dsock.wire.codec import Letter, Probe, Unreadable, decode_answers, encode_probe

PROBE = 1.0
"""Seconds between two probes of the reply channel."""

log = structlog.stdlib.get_logger("dsock.redis")


class _Awaited:
    """A command whose answers are awaited. `receivers` is how many Redis says have got it,
    where it was not sent to each by name."""

    def __init__(self, told: Iterable[str]) -> None:
        self.waiting = set(told)
        self.unheard: set[str] = set()
        """Who has certainly not, or not in time, said what came of it."""
        self.answered: set[str] = set()
        self.receivers = 0
        self.report = Report()
        self._completed: asyncio.Future[None] | None = None

    def answer(self, worker: str, outcome: Outcome) -> None:
        if worker not in self.answered:
            self.answered.add(worker)
            self.waiting.discard(worker)
            self.unheard.discard(worker)
            self.report = self.report.answered(outcome)
            self.check()

    def give_up(self, worker: str) -> None:
        self.waiting.discard(worker)
        if worker not in self.answered:
            self.unheard.add(worker)

    def check(self) -> None:
        if self._completed and self._is_complete and not self._completed.done():
            self._completed.set_result(None)

    async def complete(self, timeout: float) -> None:
        """Wait for the answers, `timeout` seconds at most; who has not answered then is given
        up."""
        if not self._is_complete:
            # Lighter than `asyncio.timeout`: every call waits here.
            loop = asyncio.get_running_loop()
            self._completed = completed = loop.create_future()
            timer = loop.call_later(timeout, _wake, completed)
            try:
                await completed
            finally:
                timer.cancel()
        for worker in tuple(self.waiting):
            self.give_up(worker)

    @property
    def _is_complete(self) -> bool:
        return not self.waiting and len(self.answered) >= self.receivers

    def result(self) -> Report:
        unheard = len(self.waiting) + len(self.unheard)
        missing = max(unheard, self.receivers - len(self.answered))
        return self.report._replace(workers=len(self.answered) + missing, unanswered=missing)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class Publisher:
    """Tells workers: a route names them, a carrier brings each its letter. While routes may
    be missing, everybody is told: through the mailbox that all share, if there is one."""

    def __init__(
        self,
        *,
        writes: Calls,
        reads: Calls,
        keys: Keys,
        watch: Watch,
        directory: Directory,
        mailboxes: Mailboxes,
        new_carrier: NewCarrier,
        report_timeout: float,
        patience: float,
        new_mailbox: NewMailbox,
        notify: Notify,
    ) -> None:
        self._pipe = writes
        self._reads = reads
        self._keys = keys
        self._watch = watch
        self._report_timeout = report_timeout
        self._patience = patience
        self._notify = notify
        self._records = Records(reads, keys)
        self._directory = directory
        self._mailboxes = mailboxes
        self._carrier = new_carrier(self._answered)
        self._id = str(uuid4())
        self._signature = secrets.token_urlsafe(12)
        self._reply_to = keys.replies(self._id)
        self._numbers = itertools.count(1)
        self._awaited: dict[int, _Awaited] = {}
        self._mailbox = new_mailbox((self._reply_to,), self._receive, lambda: None)

    @property
    def hears(self) -> bool:
        """Whether answers would be heard."""
        return self._mailbox.hears

    async def run(self) -> None:
        """Probe the reply channel, until cancelled."""
        while True:
            self._mailbox.check()
            try:
                probe = encode_probe(self._mailbox.probe)
                await self._pipe.publish(self._reply_to, probe)
                await self._directory.compare(self._watch.workers)
            except Unavailable:
                pass  # The pipe has said so.
            except Exception:
                log.exception("probe failed")
            await asyncio.sleep(PROBE)

    async def close(self) -> None:
        await self._carrier.close()
        await self._mailbox.close()

    async def publish(self, command: Command, wait: bool) -> Report:
        if not await self._mailbox.hears_soon(self._patience):
            raise Unavailable
        routed = await self._records.routed(command.target)
        # After the read: it may have been the read that found Redis restarted.
        everyone = await self._watch.in_doubt()
        told = routed | self._watch.workers if everyone else routed
        if not told and not (everyone and self._keys.shared):
            return Report()
        number = next(self._numbers)
        letter = Letter(command, self._reply_to if wait else "", number, self._signature)
        awaited = _Awaited(told)
        self._awaited[number] = awaited
        try:
            if everyone and self._keys.shared:
                await self._tell_everyone(letter, awaited)
            else:
                await self._tell(letter, awaited)
            if wait:
                await awaited.complete(self._report_timeout)
        finally:
            del self._awaited[number]
        if awaited.unheard and not everyone:
            with suppress(Unavailable):  # Then they count as unanswered.
                await self._strike_out_gone(command.target, awaited)
        report = awaited.result()
        return report if wait else Report(workers=report.workers)

    async def _tell_everyone(self, letter: Letter, awaited: _Awaited) -> None:
        [call] = self._mailboxes.carry((self._keys.everyone(),), letter)
        awaited.receivers = await call
        if not awaited.receivers:
            for id in tuple(awaited.waiting):
                awaited.give_up(id)

    async def _tell(self, letter: Letter, awaited: _Awaited) -> None:
        told = tuple(awaited.waiting)
        unavailable = 0
        for id, carried in zip(told, self._carrier.carry(told, letter), strict=True):
            try:
                taken = await carried
            except Exception as error:
                unavailable += isinstance(error, Unavailable)
                taken = 0
            if not taken:
                awaited.give_up(id)
        if unavailable == len(told):
            raise Unavailable

    async def _strike_out_gone(self, target: Target, awaited: _Awaited) -> None:
        """Of workers that were not heard, those are not missed that were declared gone, and
        those that have left: a worker leaves when nobody is connected to it any more, and
        its place among the workers goes last."""
        unheard = tuple(awaited.unheard)
        marks, places = await asyncio.gather(
            self._ask("EXISTS", [(self._keys.reaped(id),) for id in unheard]),
            self._ask("ZSCORE", [(self._keys.workers(), id) for id in unheard]),
        )
        if await self._watch.in_doubt():
            return  # Redis may have forgotten them.
        reaped = {id for id, marked in zip(unheard, marks, strict=True) if marked}
        left = {id for id, place in zip(unheard, places, strict=True) if place is None}
        awaited.unheard -= reaped | left
        if reaped and not isinstance(target, ToConnection):
            await asyncio.gather(*(self._records.close_route(id, target) for id in reaped))

    async def _ask(self, command: str, arguments: list[tuple[str, ...]]) -> list[Any]:
        return await asyncio.gather(*(self._reads.call(command, *one) for one in arguments))

    def _receive(self, _: str, payload: bytes) -> None:
        try:
            mail = decode_answers(payload)
        except Unreadable:
            self._notify(PayloadDropped())
            return
        if isinstance(mail, Probe):
            if not self._mailbox.probed(mail.text):
                self._notify(PayloadDropped())
            return
        for number, outcome in mail.outcomes:
            self._answered(mail.worker, number, outcome)

    def _answered(self, worker: str, number: int, outcome: Outcome) -> None:
        # One that is not awaited any more was given up, and counted.
        if awaited := self._awaited.get(number):
            awaited.answer(worker, outcome)
