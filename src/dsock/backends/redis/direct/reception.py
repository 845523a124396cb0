"""A worker's side of direct messaging: the two paths at which APIs hand over letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from dsock.backends.redis.postbox import Postbox
from dsock.errors import BadRequest, CommandOvertaken, NotFound
from dsock.events import Notify, PayloadDropped
from dsock.http.app import Endpoint
from dsock.http.request import read_body, require_token
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

MESSAGES = "/_/message"
ACTIONS = "/_/message/channel"

ENVELOPE = 4096
"""Bytes that a letter may have beside the message in it."""


class Reception:
    """Takes letters for the workers of this process. `tokens` None lets anyone bring them;
    `max_size` is that of a message, in bytes."""

    def __init__(self, tokens: Sequence[str] | None, max_size: int, notify: Notify) -> None:
        self.postboxes: set[Postbox] = set()
        self._tokens = tokens
        self._limit = max_size + ENVELOPE
        self._notify = notify

    def routes(self) -> list[BaseRoute]:
        return [
            Route(MESSAGES, self._endpoint(decode_message), methods=["POST"]),
            Route(ACTIONS, self._endpoint(decode_channel_action), methods=["POST"]),
        ]

    def _endpoint(self, decode: Callable[[bytes], Letter | Probe]) -> Endpoint:
        async def take(request: Request) -> Response:
            if self._tokens is not None:
                require_token(request, self._tokens)
            letter = self._read(decode, await read_body(request, self._limit))
            return self._take(letter)

        return take

    def _read(self, decode: Callable[[bytes], Letter | Probe], body: bytes) -> Letter:
        try:
            letter = decode(body)
        except Unreadable:
            letter = Probe("")
        if isinstance(letter, Probe):
            self._notify(PayloadDropped())
            raise BadRequest("It holds no command.")
        return letter

    def _take(self, letter: Letter) -> Response:
        postbox = next((one for one in self.postboxes if one.worker_id == letter.worker), None)
        if postbox is None:
            raise NotFound
        outcome: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        if not postbox.take(letter, outcome.set_result):
            raise CommandOvertaken
        if not letter.reply_to:
            return Response()
        if outcome.done():
            return Response(_body(letter, outcome.result()))
        # The head goes out now: this command has its place, and the next may come.
        return StreamingResponse(_later(letter, outcome))


async def _later(letter: Letter, outcome: asyncio.Future[Outcome | None]) -> AsyncIterator[bytes]:
    yield _body(letter, await outcome)


def _body(letter: Letter, outcome: Outcome | None) -> bytes:
    outcomes = [(letter.number, outcome)] if outcome is not None else []
    return encode_answers(Answers(letter.worker, outcomes))
