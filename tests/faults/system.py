"""A system of real processes in which everything can be broken: each node reaches Redis
through a proxy of its own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from dsock.node import Role
from tests.faults.load import NOBODY
from tests.faults.proxy import Proxy, proxy_to
from tests.faults.schedule import APIS, LEASE, WORKERS
from tests.support.cluster import Caller
from tests.support.eventually import holds_within
from tests.support.process import Process, process
from tests.support.redis_server import RedisServer
from tests.support.wire import request

DRAINED = 15.0
"""Seconds within which a node that was told to stop has ended, however busy the machine."""

TIDY_WITHIN = 5.0


class Place:
    """Where a node is, and another one once that has died."""

    def __init__(self, name: str, role: Role, proxy: Proxy, options: dict[str, str]) -> None:
        self.name = name
        self.role = role
        self.proxy = proxy
        self.started: list[float] = []
        """When each of its nodes was."""
        self._options = options
        self._process: Process | None = None
        self._stack = AsyncExitStack()
        self._log: list[str] = []

    @property
    def log(self) -> list[str]:
        """What its nodes have said so far."""
        return [*self._log, *(self._process.log if self._process else ())]

    @property
    def process(self) -> Process:
        assert self._process, f"{self.name} does not run"
        return self._process

    async def start(self) -> str:
        """Start a node, again if it cannot; returns its address."""
        loop = asyncio.get_running_loop()
        while True:
            self.started.append(loop.time())
            node = process(self.role, **self._options)
            self._process = await self._stack.enter_async_context(node)
            try:
                return await self._process.listening()
            except (AssertionError, TimeoutError):
                await self.kill()

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self._process:
            self._log += self._process.log
            self._process = None
            await self._stack.aclose()

    async def drain(self) -> int:
        """Tell it to stop; its exit status."""
        running = self.process
        running.signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(running.ended(), DRAINED)
        finally:
            await self.kill()


class System:
    """`workers` and `apis` are where the nodes are now, and who calls them; of those that do
    not run, where they were, which nobody answers."""

    def __init__(self, server: RedisServer, places: list[Place]) -> None:
        self.server = server
        self.places = {place.name: place for place in places}
        self.workers = [""] * WORKERS
        self.apis = [Caller("http://127.0.0.1:1") for _ in range(APIS)]

    async def start(self, name: str) -> None:
        """Start the node of a place, and let it be known where it is."""
        address = await self.places[name].start()
        role, _, number = name.partition(" ")
        if role == "worker":
            self.workers[int(number)] = address
        else:
            before, self.apis[int(number)] = self.apis[int(number)], Caller(f"http://{address}")
            await before.http.aclose()

    def missing(self, name: str) -> None:
        """Nobody goes there any more."""
        role, _, number = name.partition(" ")
        if role == "worker":
            self.workers[int(number)] = ""

    async def answers(self, name: str) -> None:
        """Return once a place, or Redis, has answered. Raises `OSError` where nobody is."""
        role, _, number = name.partition(" ")
        if role == "redis":
            address, asked = self.server.address, b"PING\r\n"
        elif role == "worker":
            address, asked = self.workers[int(number)], request("GET", "/ping")
        else:
            address = self.apis[int(number)].url.removeprefix("http://")
            asked = request("GET", "/ping")
        host, _, port = (address or NOBODY).rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(asked)
            await reader.read(1)
        finally:
            writer.close()

    async def ready(self) -> bool:
        """Whether all nodes say so."""
        urls = [f"http://{address}" for address in self.workers]
        callers = [Caller(url, token=None) for url in urls] + self.apis
        try:
            replies = await asyncio.gather(*(one.call("GET", "/ready") for one in callers))
            return all(reply.status == 200 for reply in replies)
        except Exception:
            return False
        finally:
            for caller in callers[: len(urls)]:
                await caller.http.aclose()

    async def stop(self) -> list[str]:
        """End all nodes in good order; returns who did not."""
        statuses = await asyncio.gather(
            *(place.drain() for place in self.places.values()), return_exceptions=True
        )
        ends = zip(self.places, statuses, strict=True)
        return [f"{name} ended with {status!r}" for name, status in ends if status != 0]

    async def keys_left(self, ends_within: float) -> set[str]:
        """What is in Redis and does not end by itself so soon, in seconds; what is being
        tidied away has the time for that."""

        def left() -> set[str]:
            with self.server.client() as redis:
                present = redis.keys("*")
                lives = {key: redis.pttl(key) for key in present}
            # One that is gone by now has a life of -2.
            lasting = {key for key, life in lives.items() if not -1 != life < 1000 * ends_within}
            return {key for key in lasting if not key.startswith("reaped:")}

        await holds_within(lambda: not left(), TIDY_WITHIN)
        return left()


@asynccontextmanager
async def system_up(method: str, seed: int, **options: str) -> AsyncIterator[System]:
    """Workers and APIs, all ready."""
    given = {
        "messaging_method": method,
        "direct_message_hostname": "127.0.0.1",
        "worker_lease": f"{LEASE}s",
        "redis_timeout": "1500ms",
        "report_timeout": "2s",
        "ping_interval": "1s",
        "ping_timeout": "3s",
        "drain_duration": "300ms",
        **options,
    }
    async with AsyncExitStack() as stack:
        server = stack.enter_context(RedisServer())
        places: list[Place] = []
        roles: list[tuple[Role, int]] = [("worker", WORKERS), ("api", APIS)]
        for role, count in roles:
            for number in range(count):
                proxy = await stack.enter_async_context(proxy_to(server.port, seed + len(places)))
                at = {"redis_host": proxy.address}
                place = Place(f"{role} {number}", role, proxy, {**given, **at})
                stack.push_async_callback(place.kill)
                places.append(place)
        system = System(server, places)
        await asyncio.gather(*(system.start(place.name) for place in places))
        stack.push_async_callback(_close, system)
        yield system


async def _close(system: System) -> None:
    for caller in system.apis:
        await caller.http.aclose()
