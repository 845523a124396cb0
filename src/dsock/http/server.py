"""Listening and hanging up: uvicorn carries HTTP, we own the sockets and the signals."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from dsock.errors import StartError
from dsock.http.incoming import Incoming
from dsock.http.protocol import HttpProtocol
from dsock.http.rules import Rules

BACKLOG = 4096

KEEP_ALIVE = 75
"""Seconds for which an idle HTTP connection is kept."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where a node listens. `direct` is for direct messages alone, where `public` and
    `internal` are shared with other processes."""

    public: socket.socket
    internal: socket.socket | None = None
    direct: socket.socket | None = None

    def all(self) -> list[socket.socket]:
        return [one for one in (self.public, self.internal, self.direct) if one]

    @property
    def direct_port(self) -> int:
        """Where direct messages come in, if they do."""
        port: int = (self.direct or self.internal or self.public).getsockname()[1]
        return port


def bind(host: str, port: int, *, shared: bool = False, listen: bool = True) -> socket.socket:
    """A bound TCP socket; with an empty host on all interfaces, IPv6 and IPv4. The port of
    one that is `shared` may be bound again by others that are.

    Raises `StartError` with one line that says what is in the way.
    """
    everywhere = not host and socket.has_dualstack_ipv6()
    sock = socket.socket(socket.AF_INET6 if everywhere or ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not everywhere)
        sock.bind((host, port))
        if listen:
            sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"port {port} is in use") from None
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise StartError(f"cannot listen on {host or '*'}:{port}: {reason}") from None
    return sock


@contextlib.contextmanager
def listening(host: str, port: int, internal_port: int | None) -> Generator[Sockets, None, None]:
    """The sockets of a node that is one process. Raises `StartError`."""
    with bind(host, port) as public:
        if internal_port is None:
            yield Sockets(public)
            return
        with bind(host, internal_port) as internal:
            yield Sockets(public, internal)


def raise_file_limit() -> int:
    """Let this process open as many files as it may; returns how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # Otherwise it would end with the signal's status, before WebSockets are closed.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def on_tick(self, counter: int) -> bool:
        if counter % 5 == 0:
            now = asyncio.get_running_loop().time()
            for connection in tuple(self.server_state.connections):
                if isinstance(connection, HttpProtocol):
                    connection.check_deadline(now)
        return await super().on_tick(counter)


@asynccontextmanager
async def serving(app: Any, sock: socket.socket, rules: Rules) -> AsyncIterator[None]:
    """The ASGI `app` answers on `sock` inside this context; on leaving it, requests that
    are under way are finished."""
    config = uvicorn.Config(
        app,
        http=functools.partial(HttpProtocol, rules=rules, incoming=Incoming()),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve([sock]))
    up = asyncio.create_task(server.up.wait())
    await asyncio.wait((running, up), return_when=asyncio.FIRST_COMPLETED)
    up.cancel()
    try:
        if running.done():
            running.result()
        yield
    finally:
        server.should_exit = True
        await running


class StopSignals:
    """SIGTERM and SIGINT: the first is an event, the second ends the process at once."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    def __enter__(self) -> StopSignals:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._arrived, number)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    async def wait(self) -> None:
        """Wait for the first signal."""
        await self._asked.wait()

    def _arrived(self, number: int) -> None:
        if self._asked.is_set():
            os._exit(128 + number)
        self._asked.set()
