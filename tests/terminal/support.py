"""`dsock` commands as processes, as somebody types them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.support.cluster import TOKEN

PATIENCE = 20.0
"""Seconds after which a wait for a process has failed."""

TIMED = re.compile(r"(\d\d):(\d\d):(\d\d)\.\d\d\d (.*)")
"""A message as a listener prints it."""


class Finished(NamedTuple):
    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output without the end of its last line."""
        return self.out.decode().removesuffix("\n")


class Running:
    """A command that has not ended yet."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """The next line of its standard output."""
        assert self._process.stdout
        return await _line(self._process.stdout)

    async def aside(self) -> str:
        """The next line of its standard error."""
        assert self._process.stderr
        return await _line(self._process.stderr)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    async def ended(self) -> Finished:
        """How it ended, with what has not been read of it."""
        async with asyncio.timeout(PATIENCE):
            out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return Finished(self._process.returncode, out or b"", err.decode())


class Terminal:
    """Somebody's terminal, with what is set in it; other options of dSock are not."""

    def __init__(self, url: str, token: str | None = TOKEN) -> None:
        self.environment = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith("DSOCK_")
            and not name.lower().endswith("_proxy")
            and name != "PYTHONUNBUFFERED"
        }
        self.environment |= {"DSOCK_URL": url, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        if token:
            self.environment["DSOCK_TOKEN"] = token

    async def __call__(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Finished:
        """Run a command to its end."""
        process = await self._start(arguments, environment)
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return Finished(process.returncode, out or b"", err.decode())

    @asynccontextmanager
    async def start(
        self,
        *arguments: str,
        stdin: int = asyncio.subprocess.PIPE,
        stdout: int = asyncio.subprocess.PIPE,
        **environment: str,
    ) -> AsyncIterator[Running]:
        """A command that runs inside this context."""
        process = await self._start(arguments, environment, stdin, stdout)
        try:
            yield Running(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _start(
        self,
        arguments: tuple[str, ...],
        environment: dict[str, str],
        stdin: int = asyncio.subprocess.PIPE,
        stdout: int = asyncio.subprocess.PIPE,
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dsock", *arguments),
            env=self.environment | environment,
            stdin=stdin,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
        )


def secrets_in(finished: Finished, *secrets: str) -> list[str]:
    """Which of the secrets were written anywhere."""
    said = finished.out.decode("utf-8", "replace") + finished.err
    return [secret for secret in secrets if secret in said]


async def _line(stream: asyncio.StreamReader) -> str:
    async with asyncio.timeout(PATIENCE):
        return (await stream.readline()).decode().removesuffix("\n")


@asynccontextmanager
async def listening(terminal: Terminal, *arguments: str) -> AsyncIterator[Running]:
    """A listener that is connected."""
    async with terminal.start("listen", *arguments) as listener:
        line = await listener.aside()
        assert line.startswith("listening at ws://"), line
        yield listener


async def heard(listener: Running) -> str:
    """The next message, without its time."""
    line = await listener.line()
    found = TIMED.fullmatch(line)
    assert found, line
    return found[4]


@asynccontextmanager
async def worker(
    client: Callable[[ServerConnection], Awaitable[None]],
    gate: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> AsyncIterator[str]:
    """A worker that does with its clients what the test wants; gives its address. `gate` may
    answer a handshake instead."""
    async with serve(
        *(client, "127.0.0.1", 0), subprotocols=[Subprotocol("dsock")], process_request=gate
    ) as server:
        (sock,) = server.sockets
        yield f"ws://127.0.0.1:{sock.getsockname()[1]}"
