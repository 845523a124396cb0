"""From routes to an ASGI application: request ids, and every error in one shape."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dsock.errors import BadRequest, DsockError, MethodNotAllowed, NotFound
from dsock.events import Notify, RequestAnswered
from dsock.http.answers import Answer, failure, request_id

log = structlog.stdlib.get_logger("dsock.http")

Endpoint = Callable[[Request], Awaitable[Response]]


class JsonResponse(Response):
    """An `Answer` for Starlette."""

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        self.raw_headers = answer.headers
        self.body = answer.body
        self.background = None


def id_of(request: Request) -> str:
    """The id of a request, which its answer and its log lines carry."""
    id: str = request.scope["dsock.request_id"]
    return id


def application(routes: Sequence[BaseRoute], notify: Notify) -> ASGIApp:
    """The ASGI application of these routes."""
    app = Starlette(
        routes=routes,
        exception_handlers={
            DsockError: _refused,
            HTTPException: _not_routed,
            Exception: _failed,
        },
    )
    app.router.redirect_slashes = False
    return _RequestScope(app, notify)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, DsockError)
    if error.status >= 500:
        # Only the kind of its cause: the text of an error may repeat what was sent.
        cause = (error.__cause__ and error.__cause__.__cause__) or error.__cause__
        why = {"cause": type(cause).__name__} if cause else {}
        level = log.debug if request.scope["path"] == "/ready" else log.error
        level("request failed", code=error.code, path=request.scope["path"], **why)
    return JsonResponse(failure(error, id_of(request)))


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answers: dict[int, DsockError] = {404: NotFound(), 405: MethodNotAllowed()}
    answer = failure(answers.get(error.status_code, BadRequest()), id_of(request))
    answer.headers.extend(
        (k.lower().encode(), v.encode()) for k, v in (error.headers or {}).items()
    )
    return JsonResponse(answer)


async def _failed(request: Request, error: Exception) -> Response:
    log.error("request failed", code=DsockError.code, path=request.scope["path"])
    return JsonResponse(failure(DsockError(), id_of(request)))


class _RequestScope:
    """Gives every request its id, and tells how it ended."""

    def __init__(self, app: ASGIApp, notify: Notify) -> None:
        self._app = app
        self._notify = notify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"")
        id = scope["dsock.request_id"] = request_id(given.decode("latin-1"))
        start, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not any(name == b"x-request-id" for name, _ in message["headers"]):
                    message["headers"] = [*message["headers"], (b"x-request-id", id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=id):
            try:
                await self._app(scope, receive, watched)
            finally:
                event = RequestAnswered(
                    route=_route(scope),
                    status=status,
                    seconds=time.perf_counter() - start,
                    method=scope["method"],
                    path=scope["path"],
                    client=(scope.get("client") or ("",))[0],
                    request_id=id,
                )
                self._notify(event)


def _route(scope: dict[str, Any] | Scope) -> str:
    # The route, not the path: a metric must not grow with what callers invent.
    route = scope.get("route")
    return getattr(route, "path", "other")
