"""The HTTP side alone, with rules of a test's choice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from dsock.events import Event
from dsock.http.app import application
from dsock.http.health import ping_route
from dsock.http.rules import Rules
from dsock.http.server import bind, serving


@asynccontextmanager
async def web(rules: Rules, *routes: BaseRoute) -> AsyncIterator[str]:
    """A server of these routes, `/ping` and `/echo`; gives its address."""
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    app = application([ping_route(), echo_route(), *routes], _ignore)
    async with serving(app, sock, rules):
        yield f"127.0.0.1:{port}"


def echo_route() -> BaseRoute:
    """`/echo` answers with the body it was sent."""

    async def echo(request: Request) -> Response:
        return PlainTextResponse(await request.body())

    return Route("/echo", echo, methods=["POST"])


class Held:
    """`/held` answers only once `release` is set; `asked` says that it was asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.release = asyncio.Event()

    def route(self) -> BaseRoute:
        async def held(_: Request) -> Response:
            self.asked.set()
            await self.release.wait()
            return PlainTextResponse("done")

        endpoint: Callable[[Request], Awaitable[Response]] = held
        return Route("/held", endpoint)


def _ignore(_: Event) -> None: ...
