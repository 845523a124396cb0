"""What stands around a cluster that is restarted node by node: a load balancer, clients that
come back, and a back end that goes on calling."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx

from tests.support.cluster import Caller, Reply
from tests.support.eventually import eventually
from tests.support.listener import Listener, listen

PROBE = 0.25
"""Seconds between two looks of the balancer at a node's `/ready`."""

NOBODY = 10.0
"""Seconds for which nobody may be ready, as it seems to a balancer on a busy machine: who comes
waits."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 8.0
"""Seconds: a client waits a random part of the first, then of twice as much, and so on."""


class Balancer:
    """Knows nodes by their addresses, and sends to those that were ready at the last look."""

    def __init__(self, *nodes: str) -> None:
        self.nodes = set(nodes)
        self._ready: set[str] = set()
        self._watched: set[str] = set()
        self._http = httpx.AsyncClient(
            timeout=5, limits=httpx.Limits(max_keepalive_connections=0), trust_env=False
        )

    def has(self, *nodes: str) -> bool:
        return self._ready >= set(nodes)

    async def pick(self) -> str:
        """One that is ready; who finds none waits."""
        await eventually(lambda: bool(self._ready & self.nodes), NOBODY)
        return random.choice(sorted(self._ready & self.nodes))

    async def run(self) -> None:
        """Look, again and again, until cancelled. Nobody who is slow delays a look at another."""
        async with self._http, asyncio.TaskGroup() as group:
            while True:
                for node in self.nodes - self._watched:
                    self._watched.add(node)
                    group.create_task(self._watch(node))
                await asyncio.sleep(PROBE)

    async def _watch(self, node: str) -> None:
        while node in self.nodes:
            if await self._is_ready(node):
                self._ready.add(node)
            else:
                self._ready.discard(node)
            await asyncio.sleep(PROBE)
        self._ready.discard(node)
        self._watched.discard(node)

    async def _is_ready(self, node: str) -> bool:
        try:
            return (await self._http.get(f"http://{node}/ready")).status_code == 200
        except httpx.TransportError:
            return False


class BackEnd:
    """Calls any API that is ready. Where nobody listens it tries another one; whatever else
    goes wrong counts."""

    def __init__(self, balancer: Balancer) -> None:
        self.statuses: Counter[int] = Counter()
        self.unanswered = 0
        """How often somebody was missed."""
        self.counted: list[int] = []
        """By message of `tell`: how many connections took it, so it was said."""
        self._balancer = balancer
        self._callers: dict[str, Caller] = {}

    async def call(self, method: str, path: str, body: str = "", **params: Any) -> Reply:
        while True:
            node = await self._balancer.pick()
            if node not in self._callers:
                self._callers[node] = Caller(f"http://{node}")
            try:
                reply = await self._callers[node].call(method, path, body, **params)
            except httpx.ConnectError:
                continue
            self.statuses[reply.status] += 1
            return reply

    async def tell(self) -> int:
        """Tell channel `news` the next number; how many took it."""
        number = len(self.counted)
        # Now already: who is cancelled in mid call does not use a number again.
        self.counted.append(0)
        reply = await self.call("POST", "/send", str(number), channel="news", type="text")
        if reply.status == 200:
            self.counted[number] = reply.report["connections"]
            self.unanswered += reply.report["unanswered"]
        return self.counted[number]

    async def run(self, users: int) -> None:
        """All kinds of calls one after the other, until cancelled."""
        while True:
            for user in range(users):
                await self.tell()
                await self.call("POST", "/channel/subscribe/sport", user=f"user-{user}")
                await self.call("GET", "/info", user=f"user-{user}")
                await self.call("POST", "/channel/unsubscribe/sport", user=f"user-{user}")
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        for caller in self._callers.values():
            await caller.http.aclose()


class Visitor:
    """A client that comes back whenever it is sent away, after a random wait. One with a `stay`
    goes by itself, after so many seconds at most, and is back at once."""

    def __init__(
        self, claim: dict[str, str], workers: Balancer, back_end: BackEnd, stay: float = 0.0
    ) -> None:
        self.away: list[float] = []
        """Seconds from each goodbye to the next 101, but for those in which it waited for a claim:
        the back end here is in one process with all clients, and slow on a busy machine."""
        self.codes: Counter[int | None] = Counter()
        self.refusals: Counter[int] = Counter()
        self.heard: list[int] = []
        self._claim = claim
        self._stay = stay
        self._workers = workers
        self._back_end = back_end
        self._listener: Listener | None = None
        self._claiming = 0.0
        """Seconds for which it has waited for claims since it was here last."""
        self._loop = asyncio.get_running_loop()

    @property
    def inside(self) -> bool:
        return self._listener is not None and self._listener.open

    @property
    def latest(self) -> int | None:
        """The last number that it was told since it is here."""
        messages = self._listener.messages if self._listener else []
        return int(messages[-1]) if messages else None

    async def run(self) -> None:
        """Be there, until cancelled."""
        left: float | None = None
        while True:
            listener = self._listener = await self._come(left is not None)
            if left is not None:
                self.away.append(self._loop.time() - left - self._claiming)
            try:
                left = await self._sent_away(listener)
                if left is not None:
                    self.codes[listener.code] += 1
            finally:
                await listener.leave()
                self.heard += map(int, listener.messages)

    async def _sent_away(self, listener: Listener) -> float | None:
        """When it was closed; None if it had enough before that."""
        enough = random.uniform(0, self._stay) if self._stay else None
        done, _ = await asyncio.wait((listener.ended,), timeout=enough)
        return listener.ended.result() if done else None

    async def _come(self, again: bool) -> Listener:
        longest, self._claiming = FIRST_WAIT if again else 0.0, 0.0
        while True:
            await asyncio.sleep(random.uniform(0, longest))
            longest = min(2 * longest or FIRST_WAIT, LONGEST_WAIT)
            asked = self._loop.time()
            reply = await self._back_end.call("POST", "/claim", **self._claim)
            self._claiming += self._loop.time() - asked
            with suppress(ConnectionRefusedError):
                worker = await self._workers.pick()
                listener = await listen(worker, f"claim={reply.json['claim']['id']}")
                if listener.status == 101:
                    return listener
                self.refusals[listener.status] += 1


@asynccontextmanager
async def running(*jobs: Any) -> AsyncIterator[None]:
    """These coroutines run inside this context, which ends with whichever fails."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job) for job in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
