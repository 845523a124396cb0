"""Nodes as processes of their own: they can be stopped, killed, and die."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from dsock.node import Role
from tests.support.cluster import JWT_SECRET, TOKEN

PATIENCE = 20.0
"""Seconds after which a wait for a process has failed."""

DSOCK = (sys.executable, "-m", "dsock")

_LISTENING = re.compile(r"event=.?listening.*\bport=(\d+)")


class Process:
    """`python -m dsock`, as somebody has started it; `log` has the lines it has written."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.log: list[str] = []
        self._process = process
        self._port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read())

    async def listening(self) -> str:
        """Its address, once it answers."""
        async with asyncio.timeout(PATIENCE):
            return f"127.0.0.1:{await asyncio.shield(self._port)}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        """It stands still and keeps its sockets."""
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.signal(signal.SIGCONT)

    async def ended(self) -> int:
        """Its exit status."""
        async with asyncio.timeout(PATIENCE):
            status = await self._process.wait()
            await self._reading
        return status

    async def kill(self) -> None:
        """End it as a power cut would, and see that it is gone."""
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        await self.ended()

    async def _read(self) -> None:
        assert self._process.stderr
        while line := (await self._process.stderr.readline()).decode():
            self.log.append(line.rstrip("\n"))
            if not self._port.done() and (found := _LISTENING.search(line)):
                self._port.set_result(int(found[1]))
        if not self._port.done():
            self._port.set_exception(AssertionError(f"ended early: {self.log}"))
            self._port.exception()


@asynccontextmanager
async def process(
    role: Role, *, command: Sequence[str] = DSOCK, **options: str
) -> AsyncIterator[Process]:
    """A node with these options, on a free port; killed at the end if it still runs."""
    environment = {name: text for name, text in os.environ.items() if "DSOCK" not in name}
    environment |= {"DSOCK_HOST": "127.0.0.1", "DSOCK_PORT": "0", "DSOCK_JWT_SECRET": JWT_SECRET}
    if role != "worker":
        environment["DSOCK_TOKEN"] = TOKEN
    if options.get("messaging_method") == "direct":
        environment["DSOCK_TOKEN"] = TOKEN
    environment |= {f"DSOCK_{name.upper()}": text for name, text in options.items()}
    started = Process(
        await asyncio.create_subprocess_exec(
            *(*command, role, "--no-config-file"),
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    )
    try:
        yield started
    finally:
        await started.kill()


@asynccontextmanager
async def processes(count: int, role: Role, **options: str) -> AsyncIterator[list[Process]]:
    """Several alike, each of which answers."""
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(process(role, **options)) for _ in range(count)]
        for one in started:
            await one.listening()
        yield started
