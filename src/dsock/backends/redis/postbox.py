"""A worker's mail: commands come in, outcomes go back to whoever asked."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from math import inf
from typing import Protocol

import structlog

from dsock.backends.base import Recipient
from dsock.backends.redis.calls import Calls
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.sequences import HeardLetters
from dsock.command import Send
from dsock.errors import Unavailable
from dsock.events import LettersMissed, MethodsDiffer, Notify, PayloadDropped
from dsock.report import Outcome
from dsock.wire.codec import (
    Answers,
    Letter,
    Probe,
    Unreadable,
    decode_channel_action,
    decode_message,
    encode_answers,
)

DIFFERS_EVERY = 60.0
"""Seconds between two words about an API that is set to another messaging method."""

log = structlog.stdlib.get_logger("dsock.redis")


class Member(Protocol):
    """What a postbox needs of the membership it belongs to."""

    id: str

    @property
    def may_be_gone(self) -> bool: ...
    def heard_probe(self, probe: str) -> None: ...
    async def settled(self) -> None: ...


Answer = Callable[[Outcome], None]
"""Takes the outcome of a command."""


class Postbox:
    """Reads commands for `worker`, each publisher's in order; answers what one turn of the
    loop has for an API node in one message."""

    def __init__(
        self,
        pipe: Calls,
        keys: Keys,
        worker: Recipient,
        member: Member,
        method: str,
        notify: Notify,
    ) -> None:
        self._pipe = pipe
        self._keys = keys
        self._worker = worker
        self._member = member
        self._method = method
        self._notify = notify
        self._heard = HeardLetters()
        self._differed_at = -inf
        self._outgoing: dict[str, list[tuple[int, Outcome]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def worker_id(self) -> str:
        """Whose postbox this is."""
        return self._member.id

    def receive(self, channel: str, payload: bytes) -> None:
        """Take what has come in on one of the worker's channels."""
        decode = decode_channel_action if channel.endswith(":channel") else decode_message
        try:
            mail = decode(payload)
        except Unreadable:
            self._notify(PayloadDropped())
            return
        if isinstance(mail, Probe):
            self._member.heard_probe(mail.text)
            return
        if self._keys.shared:
            self._compare(mail)
        if self._is_in_time(mail):
            if mail.sequence:
                self._count(channel.removesuffix(":channel"), mail)
            self._submit(mail, None)

    def take(self, letter: Letter, answer: Answer | None = None) -> bool:
        """Let the worker carry out a letter; says whether it came in time, and not to one
        that may be gone. If the letter asks for an answer, that goes to `answer`, or else to the
        letter's reply channel."""
        return self._is_in_time(letter) and self._submit(letter, answer)

    def _is_in_time(self, letter: Letter) -> bool:
        # A letter may have waited in a socket for longer than its publisher for an answer.
        if letter.publisher and not self._heard.in_time(letter.publisher, letter.number):
            log.warning("a command that came too late was dropped", number=letter.number)
            return False
        return True

    def _submit(self, letter: Letter, answer: Answer | None) -> bool:
        if self._member.may_be_gone:
            return False
        answer = answer or functools.partial(self._answer, letter)
        self._worker.submit(letter.command, functools.partial(self._carried_out, letter, answer))
        return True

    def _count(self, mailbox: str, letter: Letter) -> None:
        own = mailbox == self._keys.mailbox(self._member.id)
        if missing := self._heard.missing(
            mailbox, letter.publisher, letter.sequence, from_the_start=own
        ):
            self._notify(LettersMissed(missing))

    def _compare(self, letter: Letter) -> None:
        method = "direct" if letter.publisher and not letter.sequence else "redis"
        if method != self._method and self._loop.time() - self._differed_at > DIFFERS_EVERY:
            self._differed_at = self._loop.time()
            self._notify(MethodsDiffer(here=self._method, there=method, worker=self._member.id))

    def _carried_out(self, letter: Letter, answer: Answer, outcome: Outcome) -> None:
        if not letter.reply_to:
            return
        if isinstance(letter.command, Send):
            answer(outcome)
        else:
            task = self._loop.create_task(self._answer_when_settled(answer, outcome))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer_when_settled(self, answer: Answer, outcome: Outcome) -> None:
        try:
            await self._member.settled()
        except Unavailable:
            # Not answering says it: the caller cannot count on it.
            log.warning("could not record what a command did")
        else:
            answer(outcome)

    def _answer(self, letter: Letter, outcome: Outcome) -> None:
        if not self._outgoing:
            self._loop.call_soon(self._post)
        self._outgoing.setdefault(letter.reply_to, []).append((letter.number, outcome))

    def _post(self) -> None:
        outgoing, self._outgoing = self._outgoing, {}
        for reply_to, outcomes in outgoing.items():
            payload = encode_answers(Answers(self._member.id, outcomes))
            posted = self._pipe.publish(reply_to, payload)
            posted.add_done_callback(_ignore)


def _ignore(posted: asyncio.Future[int]) -> None:
    # An answer that does not arrive is counted where it is missed.
    if not posted.cancelled():
        posted.exception()
