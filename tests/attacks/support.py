"""A node under attack, seen from outside: its memory, files and metrics, and how much it does
meanwhile before it turns to others."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from pathlib import Path

import jwt

from bench.machine import cpu_seconds
from tests.support.cluster import JWT_SECRET, TOKEN, Caller
from tests.support.process import Process, process
from tests.support.wire import Wire, dial, open_wire, request

HASTY = (sys.executable, str(Path(__file__).with_name("hasty.py")))
"""`dsock` with little patience."""

SECONDS = 1.0
"""How long a flood lasts."""

ROUNDS = 300
"""Round trips that a figure is made of."""

BUDGET = 0.1
"""Seconds of CPU that a node under attack may use before it has answered somebody else, at the 0.99
quantile: 0.02 are seen at most, to the tick of 0.004. (It is CPU time: the time on the clock says
more about what else this machine does.)"""

MB = 2**20


class Victim:
    """A node, or an API and a worker, as processes of their own."""

    def __init__(self, api: Process, worker: Process, apis: str, workers: str) -> None:
        self.processes = {"api": api, "worker": worker}
        self.addresses = {"api": apis, "worker": workers}
        self.api = Caller(f"http://{apis}")

    @property
    def address(self) -> str:
        """Where clients connect."""
        return self.addresses["worker"]

    @property
    def pid(self) -> int:
        """Of the worker."""
        return self.processes["worker"].pid

    @property
    def pids(self) -> set[int]:
        return {one.pid for one in self.processes.values()}

    async def credential(self, user: str) -> str:
        return f"claim={await self.api.claim(user)}"

    def knock(
        self, receive_buffer: int = 0, /, **headers: str
    ) -> AbstractAsyncContextManager[Wire]:
        """A client more, with its 101."""
        return open_wire(self.address, f"jwt={jwt_of('attacker')}", receive_buffer, **headers)

    async def count(self, series: str, role: str = "worker") -> float:
        """A number from the `/metrics` of a process; 0 for what has not happened yet."""
        async with dial(self.addresses[role]) as wire:
            await wire.send(request("GET", "/metrics", connection="close"))
            text = (await wire.end()).decode()
        found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


def jwt_of(user: str) -> str:
    """A good JWT of this user."""
    return jwt.encode({"sub": user, "exp": int(time.time()) + 3600}, JWT_SECRET)


@asynccontextmanager
async def victim(command: Sequence[str] = HASTY, **options: str) -> AsyncIterator[Victim]:
    """One node that is all. It sends nobody a ping, and cuts off who reads nothing for 3 s."""
    settings = {"ping_interval": "1h", "send_timeout": "3s", **options}
    async with process("serve", command=command, **settings) as node:
        address = await node.listening()
        one = Victim(node, node, address, address)
        async with one.api.http:
            yield one


# --- memory and files --------------------------------------------------------------------


class Memory:
    """`grown`, in bytes: by how much a process was larger at most than before."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = _figure(pid, "VmRSS")
        # From now on the peak is a new one (proc(5), clear_refs).
        Path(f"/proc/{pid}/clear_refs").write_text("5")

    @property
    def grown(self) -> int:
        return _figure(self._pid, "VmHWM") - self._before


def _figure(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def files(pid: int) -> int:
    """How many files a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


# --- others ------------------------------------------------------------------------------


class Others:
    """Somebody who asks again and again for the same, and what the node, which may be several
    processes, does until it has answered."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = set(pids)

    async def round(self) -> float:
        """Seconds of CPU that the node used until it had answered, for whomever."""
        before = cpu_seconds(self._pids)
        await self.ask()
        return cpu_seconds(self._pids) - before

    async def ask(self) -> None:
        """Ask, and wait for the answer."""
        raise NotImplementedError

    async def p99(self, rounds: int = ROUNDS) -> float:
        """The 0.99 quantile of so many round trips."""
        return _p99([await self.round() for _ in range(rounds)])

    async def p99_during(self, attack: Coroutine[None, None, object]) -> float:
        """The same, of as many as there are while the attack goes on."""
        task = asyncio.create_task(attack)
        times = [await self.round()]
        while not task.done():
            times.append(await self.round())
        await task
        return _p99(times)

    async def unmoved(self, attack: Callable[[], Coroutine[None, None, object]]) -> bool:
        """Whether these are answered in their turn during an attack, in the best of three
        tries: who attacks is in this process, and holds up who asks, too."""
        for _ in range(3):
            if await self.p99_during(attack()) < BUDGET:
                return True
        return False


def _p99(times: list[float]) -> float:
    assert any(times), "this machine does not say what CPU time was used"
    return sorted(times)[len(times) * 99 // 100]


class Bystander(Others):
    """A client that behaves, and the back end that sends to it."""

    def __init__(self, user: str, wire: Wire, caller: Wire, pids: Iterable[int]) -> None:
        super().__init__(pids)
        self._wire = wire
        self._caller = caller
        self._send = request("POST", f"/send?user={user}&type=text&token={TOKEN}", b"still there?")

    async def ask(self) -> None:
        """A message is received, and its call answered."""
        await self._caller.send(self._send)
        await self.next()
        assert (await self._caller.response()).json["report"]["connections"] == 1

    async def next(self) -> None:
        """What it receives next is what it was sent, and nothing that others made up."""
        assert (await self._wire.frame()).body == b"still there?"


class Pinger(Others):
    """Somebody who asks a process whether it is there."""

    def __init__(self, wire: Wire, pid: int) -> None:
        super().__init__([pid])
        self._wire = wire

    async def ask(self) -> None:
        await self._wire.send(request("GET", "/ping"))
        assert (await self._wire.response()).body == b"pong"


@asynccontextmanager
async def bystander(victim: Victim, user: str) -> AsyncIterator[Bystander]:
    async with (
        open_wire(victim.address, await victim.credential(user)) as wire,
        dial(victim.addresses["api"]) as caller,
    ):
        yield Bystander(user, wire, caller, victim.pids)


# --- attackers ---------------------------------------------------------------------------


@asynccontextmanager
async def crowd(address: str, count: int, *parts: bytes) -> AsyncIterator[list[Wire]]:
    """So many connections at once that have sent this, and hold on to it."""
    async with AsyncExitStack() as stack:
        wires = []
        for _ in range(count):
            wires.append(await stack.enter_async_context(dial(address)))
            with suppress(ConnectionError):
                await wires[-1].send(*parts)
        yield wires


async def pour(wire: Wire, *parts: bytes) -> None:
    """Send, as fast as the other side takes it, until it hangs up."""
    await _pour(wire, parts)


async def _pour(wire: Wire, parts: Iterable[bytes]) -> None:
    with suppress(ConnectionError):
        for part in parts:
            await wire.send(part)
            await asyncio.sleep(0)  # What is taken at once gives nobody here a turn.


async def flood(
    connect: Callable[[], AbstractAsyncContextManager[Wire]], data: bytes, seconds: float = SECONDS
) -> None:
    """Send this again and again, over a new connection whenever one ends."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                async with connect() as wire:
                    await _pour(wire, itertools.repeat(data))
