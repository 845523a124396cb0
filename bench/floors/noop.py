"""The floor of a call: a Starlette route that reads a body and answers `ok`.

uvicorn, its loop, its parser and its options are those of `dsock.http.server`; the limits and
the request ids that the product adds are not.
"""

from __future__ import annotations

import asyncio
import sys

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dsock.http.server import BACKLOG, KEEP_ALIVE


async def noop(request: Request) -> Response:
    await request.body()
    return Response(b"ok")


def main(port: int) -> None:
    config = uvicorn.Config(
        Starlette(routes=[Route("/", noop, methods=["POST"])]),
        host="127.0.0.1",
        port=port,
        http="httptools",
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main(int(sys.argv[1]))
