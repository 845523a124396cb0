"""The API's routes, and the token in front of all but those that describe it."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dsock.api.handlers import Handlers
from dsock.api.published import published_routes
from dsock.http.app import Endpoint
from dsock.http.gate import Gate


def api_routes(handlers: Handlers, gate: Gate | None) -> list[BaseRoute]:
    """All calls; without a gate anyone may make them."""

    def route(method: str, path: str, endpoint: Endpoint) -> BaseRoute:
        async def authorized(request: Request) -> Response:
            if gate:
                gate.require_token(request)
            return await endpoint(request)

        made = Route(path, authorized, methods=[method])
        # A channel with a line break in it is a bad name, not another path.
        made.path_regex = re.compile(made.path_regex.pattern, re.DOTALL)
        return made

    return [
        route("POST", "/claim", handlers.claim),
        route("POST", "/send", handlers.send),
        route("POST", "/disconnect", handlers.disconnect),
        route("POST", "/channel/subscribe/{channel:path}", handlers.subscribe),
        route("POST", "/channel/unsubscribe/{channel:path}", handlers.unsubscribe),
        route("GET", "/info", handlers.info),
        *published_routes(),
    ]
