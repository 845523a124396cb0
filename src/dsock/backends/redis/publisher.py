"""An API node's side of commands: whom to tell, and what they answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from uuid import uuid4

import structlog

from dsock.backends.redis.carrier import Mailboxes, NewCarrier
from dsock.backends.redis.directory import Directory
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.mailbox import NewMailbox
from dsock.backends.redis.pipe import Pipe
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
        self.unconfirmed = 0
        self.answered: set[str] = set()
        self.receivers = 0
        self.report = Report()
        self.complete = asyncio.Event()

    def answer(self, worker: str, outcome: Outcome) -> None:
        if worker not in self.answered:
            self.answered.add(worker)
            self.waiting.discard(worker)
            self.report = self.report.answered(outcome)
            self.check()

    def give_up(self, worker: str) -> None:
        """This worker has said that it cannot confirm."""
        if worker in self.waiting:
            self.waiting.discard(worker)
            self.unconfirmed += 1
            self.check()

    def check(self) -> None:
        if not self.waiting and len(self.answered) >= self.receivers:
            self.complete.set()

    def result(self, unreached: int) -> Report:
        missing = max(len(self.waiting), self.receivers - len(self.answered))
        missing += unreached + self.unconfirmed
        return self.report._replace(workers=len(self.answered) + missing, unanswered=missing)


class Publisher:
    """Tells workers: a route names them, a carrier brings each its letter. While routes may
    be missing, everybody is told through the mailbox that all share. `signs`: letters say
    whose they are, as those of direct messaging must."""

    def __init__(
        self,
        *,
        writes: Pipe,
        reads: Pipe,
        keys: Keys,
        watch: Watch,
        directory: Directory,
        mailboxes: Mailboxes,
        new_carrier: NewCarrier,
        signs: bool,
        report_timeout: float,
        new_mailbox: NewMailbox,
        notify: Notify,
    ) -> None:
        self._pipe = writes
        self._reads = reads
        self._keys = keys
        self._watch = watch
        self._report_timeout = report_timeout
        self._notify = notify
        self._records = Records(reads, keys)
        self._directory = directory
        self._mailboxes = mailboxes
        self._carrier = new_carrier(self._answered)
        self._id = str(uuid4())
        self._signature = self._id if signs else ""
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
                await self._pipe.call("PUBLISH", self._reply_to, probe, once=True)
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
        if not self.hears:
            raise Unavailable
        routed = await self._records.routed(command.target)
        # After the read: it may have been the read that found Redis restarted.
        everyone = await self._watch.in_doubt()
        if not routed and not everyone:
            return Report()
        number = next(self._numbers)
        letter = Letter(command, self._reply_to if wait else "", number, self._signature)
        awaited = _Awaited(routed | self._watch.workers if everyone else routed)
        self._awaited[number] = awaited
        try:
            unreached = await self._tell(letter, awaited, everyone)
            if wait and (awaited.waiting or awaited.receivers):
                awaited.check()
                try:
                    async with asyncio.timeout(self._report_timeout):
                        await awaited.complete.wait()
                except TimeoutError:
                    pass  # `result` counts who is missing.
        finally:
            del self._awaited[number]
        report = awaited.result(unreached)
        return report if wait else Report(workers=report.workers)

    async def _tell(self, letter: Letter, awaited: _Awaited, everyone: bool) -> int:
        """Have it brought; returns how many of the told have not said that they have it."""
        if everyone:
            [call] = self._mailboxes.carry((self._keys.everyone(),), letter)
            awaited.receivers = await call
            return 0
        told = tuple(awaited.waiting)
        taken = await asyncio.gather(*self._carrier.carry(told, letter), return_exceptions=True)
        if all(isinstance(one, Unavailable) for one in taken):
            raise Unavailable
        deaf = [id for id, count in zip(told, taken, strict=True) if count == 0]
        unsure = [id for id, one in zip(told, taken, strict=True) if isinstance(one, Exception)]
        awaited.waiting.difference_update(deaf, unsure)
        return len(unsure) + await self._strike_out_gone(letter.command.target, deaf)

    async def _strike_out_gone(self, target: Target, deaf: list[str]) -> int:
        """Of workers that nobody listens for: those declared gone are no longer told; returns
        how many are left."""
        if not deaf:
            return 0
        marks = await asyncio.gather(
            *(self._reads.call("EXISTS", self._keys.reaped(id)) for id in deaf)
        )
        gone = [id for id, marked in zip(deaf, marks, strict=True) if marked]
        if gone and not isinstance(target, ToConnection):
            await asyncio.gather(*(self._records.close_route(id, target) for id in gone))
        return len(deaf) - len(gone)

    def _receive(self, _: str, payload: bytes) -> None:
        try:
            mail = decode_answers(payload)
        except Unreadable:
            self._notify(PayloadDropped())
            return
        if isinstance(mail, Probe):
            self._mailbox.probed(mail.text)
            return
        for number, outcome in mail.outcomes:
            self._answered(mail.worker, number, outcome)

    def _answered(self, worker: str, number: int, outcome: Outcome | None) -> None:
        awaited = self._awaited.get(number)
        if awaited is None:
            return  # It was given up, and counted.
        if outcome is None:
            awaited.give_up(worker)
        else:
            awaited.answer(worker, outcome)
