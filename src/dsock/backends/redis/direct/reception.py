"""A worker's side of direct messaging: the path at which APIs hand over letters."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dsock.backends.redis.postbox import Postbox
from dsock.command import Send
from dsock.errors import BadRequest, ErrorReadingMessage, NotFound
from dsock.events import Notify, PayloadDropped
from dsock.http.gate import Gate
from dsock.http.request import read_body
from dsock.report import Outcome
from dsock.wire.codec import Answers, Letter, Unreadable, decode_letters, encode_answers

MESSAGES = "/_/message"

ENVELOPE = 2**20
"""Bytes that a body may have beside the largest message: others that come along with it."""

_TURNS = 3
"""Turns of the loop after which it is known whether who brought a body has hung up before."""


class Reception:
    """Takes letters for the workers of this process. Without a gate anyone may bring them;
    `max_size` is that of a message, in bytes."""

    def __init__(self, gate: Gate | None, max_size: int, notify: Notify) -> None:
        self.postboxes: set[Postbox] = set()
        self._gate = gate
        self._limit = max_size + ENVELOPE
        self._notify = notify

    def routes(self) -> list[BaseRoute]:
        return [Route(MESSAGES, self._receive, methods=["POST"])]

    async def _receive(self, request: Request) -> Response:
        if self._gate:
            self._gate.require_token(request)
        body = await read_body(request, self._limit)
        try:
            worker, letters = decode_letters(body)
        except Unreadable:
            self._notify(PayloadDropped())
            raise BadRequest("It holds no command.") from None
        postbox = next((one for one in self.postboxes if one.worker_id == worker), None)
        if postbox is None:
            raise NotFound
        await _require_present(request)
        return Response(encode_answers(await self._take(postbox, letters)))

    async def _take(self, postbox: Postbox, letters: Sequence[Letter | None]) -> Answers:
        """Let the worker carry out all of them, in order. What needs no Redis is answered
        here, the rest on the reply channel, as if it had come through Redis."""
        worker = postbox.worker_id
        late: list[int] = []
        sent: list[tuple[int, asyncio.Future[Outcome]]] = []
        loop = asyncio.get_running_loop()
        for letter in letters:
            if letter is None:
                self._notify(PayloadDropped())
                continue
            answer = None
            if isinstance(letter.command, Send):
                outcome: asyncio.Future[Outcome] = loop.create_future()
                answer = functools.partial(_resolve, outcome)
            if not postbox.take(letter, answer):
                late.append(letter.number)
            elif answer and letter.reply_to:
                sent.append((letter.number, outcome))
        return Answers(worker, [(number, await outcome) for number, outcome in sent], late)


async def _require_present(request: Request) -> None:
    # Whoever has hung up has given these letters up, and may have said so: to carry them
    # out after what others were told since would mix up the order. That is what happens
    # when a process stood still and finds it all in its sockets.
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    if await request.is_disconnected():
        raise ErrorReadingMessage


def _resolve(outcome: asyncio.Future[Outcome], value: Outcome) -> None:
    if not outcome.done():
        outcome.set_result(value)
