"""A worker's mail: commands come in, outcomes go back to whoever asked."""

from __future__ import annotations

import asyncio
import functools
from typing import Protocol

import structlog

from dsock.backends.base import Recipient
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.pipe import Pipe
from dsock.command import Send
from dsock.errors import Unavailable
from dsock.events import Notify, PayloadDropped
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

log = structlog.stdlib.get_logger("dsock.redis")


class Member(Protocol):
    """What a postbox needs of the membership it belongs to."""

    id: str

    def heard_probe(self, probe: str) -> None: ...
    async def settled(self) -> None: ...


class Postbox:
    """Reads commands for `worker`; answers what one turn of the loop has for an API node in
    one message."""

    def __init__(
        self, pipe: Pipe, keys: Keys, worker: Recipient, member: Member, notify: Notify
    ) -> None:
        self._pipe = pipe
        self._worker = worker
        self._member = member
        self._notify = notify
        self._outgoing: dict[str, list[tuple[int, Outcome]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

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
        else:
            self._worker.submit(mail.command, functools.partial(self._carried_out, mail))

    def _carried_out(self, letter: Letter, outcome: Outcome) -> None:
        if not letter.reply_to:
            return
        if isinstance(letter.command, Send):
            self._answer(letter, outcome)
        else:
            task = self._loop.create_task(self._answer_when_settled(letter, outcome))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer_when_settled(self, letter: Letter, outcome: Outcome) -> None:
        try:
            await self._member.settled()
        except Unavailable:
            # Not answering says it: the caller cannot count on it.
            log.warning("could not record what a command did")
            return
        self._answer(letter, outcome)

    def _answer(self, letter: Letter, outcome: Outcome) -> None:
        if not self._outgoing:
            self._loop.call_soon(self._post)
        self._outgoing.setdefault(letter.reply_to, []).append((letter.number, outcome))

    def _post(self) -> None:
        outgoing, self._outgoing = self._outgoing, {}
        for reply_to, outcomes in outgoing.items():
            payload = encode_answers(Answers(self._member.id, outcomes))
            posted = self._pipe.call("PUBLISH", reply_to, payload, once=True)
            posted.add_done_callback(_ignore)


def _ignore(posted: asyncio.Future[int]) -> None:
    # An answer that does not arrive is counted where it is missed.
    if not posted.cancelled():
        posted.exception()
