"""The calls of the API: each reads its request, asks the backend, and says what happened."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dsock import names
from dsock.backends.base import Backend
from dsock.claim import Claim, claim_request
from dsock.command import Command, Disconnect, MessageType, Send, Subscribe, Unsubscribe
from dsock.errors import (
    ErrorCheckingClaim,
    ErrorGettingChannel,
    ErrorGettingClaim,
    ErrorGettingConnection,
    ErrorGettingUser,
    InvalidMessageType,
    Unavailable,
    WorkerUnanswered,
)
from dsock.events import CommandAnswered, Notify
from dsock.http.answers import success
from dsock.http.app import JsonResponse, id_of
from dsock.http.request import Parameters, path_tail, read_body
from dsock.presence import Presence
from dsock.report import Report
from dsock.target import Target, ToChannel, ToConnection, ToUser, target_of


class Handlers:
    """One method a call."""

    def __init__(self, backend: Backend, notify: Notify, max_message_size: int) -> None:
        self._backend = backend
        self._notify = notify
        self._max_message_size = max_message_size

    async def claim(self, request: Request) -> Response:
        wanted = claim_request(Parameters.of(request), time.time())
        with _named(ErrorCheckingClaim):
            await self._backend.create_claim(wanted)
        return _ok(request, claim=_claim_json(wanted.claim))

    async def send(self, request: Request) -> Response:
        parameters = Parameters.of(request)
        target = target_of(parameters)
        type = MessageType.of(parameters("type"))
        body = await read_body(request, self._max_message_size)
        if type is MessageType.TEXT:
            _require_utf8(body)
        wait = parameters("report") != "false"
        report = await self._publish(Send(target, type, body), wait)
        return _ok(request, report=report._asdict() if wait else {"workers": report.workers})

    async def disconnect(self, request: Request) -> Response:
        parameters = Parameters.of(request)
        target = target_of(parameters)
        # First shut the way in, then clear the room: never the other way round.
        if not parameters.flag("keepClaims"):
            with _named(ErrorGettingClaim):
                await self._backend.void_claims(target)
        return await self._confirmed(request, Disconnect(target))

    async def subscribe(self, request: Request) -> Response:
        return await self._move(request, "/channel/subscribe/", subscribed=True)

    async def unsubscribe(self, request: Request) -> Response:
        return await self._move(request, "/channel/unsubscribe/", subscribed=False)

    async def info(self, request: Request) -> Response:
        target = target_of(Parameters.of(request))
        with _named(_error_of(target)):
            connections, claims = await self._backend.info(target)
        return _ok(
            request,
            connections=[_presence_json(one) for one in connections],
            claims=[_claim_json(one) for one in claims],
        )

    async def _move(self, request: Request, prefix: str, subscribed: bool) -> Response:
        channel = names.channel_name(path_tail(request, prefix))
        parameters = Parameters.of(request)
        target = target_of(parameters)
        if not parameters.flag("ignoreClaims"):
            with _named(ErrorGettingClaim):
                await self._backend.move_claims(target, channel, subscribed)
        verb = Subscribe if subscribed else Unsubscribe
        return await self._confirmed(request, verb(target, channel))

    async def _confirmed(self, request: Request, command: Command) -> Response:
        report = await self._publish(command, wait=True)
        if report.unanswered:
            raise WorkerUnanswered(report)
        return _ok(request, report=report._asdict())

    async def _publish(self, command: Command, wait: bool) -> Report:
        try:
            report = await self._backend.publish(command, wait)
        except Unavailable as unavailable:
            raise _error_of(command.target) from unavailable
        _, connections, dropped, unanswered = report
        self._notify(
            CommandAnswered(type(command).__name__.lower(), connections, dropped, unanswered)
        )
        return report


def _ok(request: Request, **content: Any) -> Response:
    return JsonResponse(success(id_of(request), **content))


@contextmanager
def _named(error: type[Unavailable]) -> Iterator[None]:
    """Say by its documented code what could not be done."""
    try:
        yield
    except Unavailable as unavailable:
        raise error from unavailable


def _error_of(target: Target) -> type[Unavailable]:
    match target:
        case ToConnection():
            return ErrorGettingConnection
        case ToUser():
            return ErrorGettingUser
        case ToChannel():
            return ErrorGettingChannel


def _require_utf8(body: bytes) -> None:
    # A conforming client would have to drop the connection (RFC 6455, section 8.1).
    try:
        body.decode()
    except UnicodeDecodeError:
        raise InvalidMessageType from None


def _claim_json(claim: Claim) -> dict[str, Any]:
    return {
        "id": claim.id,
        "expiration": claim.expiration,
        "user": claim.user,
        **({"session": claim.session} if claim.session else {}),
        "channels": list(claim.channels),
    }


def _presence_json(one: Presence) -> dict[str, Any]:
    # Thousands of them are made at once.
    id, worker, user, session, channels, last_ping = one
    content: dict[str, Any] = {"id": id, "worker": worker}
    if last_ping is not None:
        content["lastPing"] = last_ping
    content["user"] = user
    if session:
        content["session"] = session
    content["channels"] = channels
    return content
