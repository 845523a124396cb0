"""Nodes of several processes, as somebody has started them."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx
from websockets.asyncio.client import ClientConnection, connect

from dsock.node import Role
from tests.support.cluster import Caller, node_up
from tests.support.eventually import eventually
from tests.support.process import DSOCK, PATIENCE, Process, process
from tests.support.redis_server import RedisServer, free_port

_UP = re.compile(r'event="all processes are up".* port=(\d+)')
_BORN = re.compile(r"event=listening process=(\d+) pid=(\d+)")

LEASE = 4.0
"""Seconds without a beat after which a worker is declared gone: a busy machine holds up none
that is well for so long."""


class Family:
    """A parent and its processes."""

    def __init__(self, parent: Process) -> None:
        self.parent = parent
        self.address = ""

    @property
    def log(self) -> list[str]:
        return self.parent.log

    @property
    def pids(self) -> dict[int, int]:
        """The last process of each index that has answered."""
        return {int(one[1]): int(one[2]) for one in map(_BORN.search, self.log) if one}

    async def up(self) -> str:
        """The address of all, once all answer."""

        def found() -> bool:
            for up in filter(None, map(_UP.search, self.log)):
                self.address = f"127.0.0.1:{up[1]}"
            return bool(self.address)

        await eventually(found, PATIENCE)
        return self.address

    def said(self, *words: str) -> list[str]:
        """The lines of the log that have all of these words."""
        return [line for line in self.log if all(word in line for word in words)]

    async def says(self, *words: str, times: int = 1, within: float = PATIENCE) -> str:
        """Wait for such a line; gives the last."""
        await eventually(lambda: len(self.said(*words)) >= times, within)
        return self.said(*words)[-1]

    async def replaced(self, index: int, pid: int) -> int:
        """Wait for the one that takes a process's place; gives its pid."""
        await eventually(lambda: self.pids[index] != pid, PATIENCE)
        return self.pids[index]


def patched(**constants: float) -> tuple[str, ...]:
    """The command `dsock`, with other patience: `module__NAME=seconds`."""
    lines = ["import sys, dsock.cli"]
    for constant, value in constants.items():
        module, _, name = constant.partition("__")
        lines += [f"import dsock.processes.{module} as m", f"m.{name} = {value}"]
    return (sys.executable, "-c", "\n".join([*lines, "sys.exit(dsock.cli.main())"]))


@asynccontextmanager
async def begun(
    role: Role, count: int, server: RedisServer, command: Sequence[str] = DSOCK, **options: str
) -> AsyncIterator[Family]:
    """A node of so many processes, which may not be up yet."""
    given = {
        "processes": str(count),
        "redis_host": server.address,
        "drain_duration": "0s",
        "worker_lease": f"{LEASE:g}s",
        "direct_message_hostname": "127.0.0.1",
        **options,
    }
    async with process(role, command=command, **given) as parent:
        try:
            yield Family(parent)
        finally:
            # Who still stands still would not notice that the parent goes.
            for pid in children(parent.pid):
                os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def family(
    role: Role, count: int, server: RedisServer, command: Sequence[str] = DSOCK, **options: str
) -> AsyncIterator[Family]:
    """A node of so many processes, all of which answer."""
    async with begun(role, count, server, command, **options) as one:
        await one.up()
        yield one


@asynccontextmanager
async def api_at(server: RedisServer, method: str = "redis") -> AsyncIterator[Caller]:
    """An API in this process."""
    options = {"redis_host": server.address, "messaging_method": method, "worker_lease": LEASE}
    async with node_up("api", **options) as (_, address):
        caller = Caller(f"http://{address}")
        async with caller.http:
            yield caller


@asynccontextmanager
async def crowd(
    api: Caller, address: str, count: int, user: str = "u", **claim: str
) -> AsyncIterator[dict[str, list[ClientConnection]]]:
    """So many clients, by the worker that holds them."""
    async with AsyncExitStack() as stack:
        clients = {}
        for number in range(count):
            id = await api.claim(f"{user}{number}", **claim)
            url = f"ws://{address}/connect?claim={id}"
            client = await stack.enter_async_context(connect(url, proxy=None))
            clients[f"{user}{number}"] = client
        by_worker: dict[str, list[ClientConnection]] = {}
        for user_, client in clients.items():
            [one] = (await api.info(user=user_))["connections"]
            by_worker.setdefault(one["worker"], []).append(client)
        yield by_worker


async def get(address: str, path: str) -> httpx.Response:
    """What is answered on a connection of its own, so by any of the processes."""
    async with httpx.AsyncClient(base_url=f"http://{address}") as http:
        return await http.get(path)


async def figure(address: str, name: str) -> float:
    """A number from `/metrics`."""
    for line in (await get(address, "/metrics")).text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split(" ")[1])
    raise AssertionError(f"there is no {name}")


async def everywhere(
    family: Family, path: str, enough: int, what: Callable[[httpx.Response], object]
) -> set[object]:
    """What is said of so many answers, each to another connection."""
    return {what(await get(family.address, path)) for _ in range(enough)}


def system(pid: int, file: str) -> str:
    """What the system says of a process."""
    return Path(f"/proc/{pid}/{file}").read_text()


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in system(pid, "status")
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    """The processes that this one has started and that are still there."""
    try:
        return [int(one) for one in system(pid, f"task/{pid}/children").split()]
    except FileNotFoundError:
        return []


def free_ports() -> int:
    """A free port; the one after it is free too."""
    while True:
        first = free_port()
        with suppress(OSError), socket.create_server(("127.0.0.1", first + 1)):
            return first
