"""`/ping`, `/ready` and `/metrics`: for load balancers and for people at night."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from dsock.errors import DsockError
from dsock.http.answers import success
from dsock.http.app import JsonResponse, id_of

ANY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def _ping(_: Request) -> Response:
    return PlainTextResponse("pong")


def ping_route() -> BaseRoute:
    """`/ping`: the process answers."""
    return Route("/ping", _ping, methods=ANY)


def internal_routes(
    readiness: Callable[[], DsockError | None], metrics: Callable[[], tuple[bytes, str]]
) -> list[BaseRoute]:
    """`/ready` (`readiness` says why not) and `/metrics` (a body and its content type)."""

    async def ready(request: Request) -> Response:
        if error := readiness():
            raise error
        return JsonResponse(success(id_of(request)))

    async def show(_: Request) -> Response:
        body, content_type = metrics()
        return Response(body, headers={"content-type": content_type})

    return [Route("/ready", ready, methods=ANY), Route("/metrics", show, methods=ANY)]
