"""Admission driven step by step: a test holds a step, acts, and lets it go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from dsock.node import Node

READ, ROUTE, TAKE, RECORD = "read_claim", "open_routes", "take", "record"


class Steps:
    """The steps of all admissions of one worker, in order of `READ`, `ROUTE`, `TAKE` and
    `RECORD`."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}
        self._waiting: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def held_before(self, step: str, clients: int = 1) -> AsyncIterator[Callable[[], Any]]:
        """Nobody passes this step inside the context, which gives a function to wait until
        so many clients stand before it."""
        gate = self._gates[step] = asyncio.Event()
        waiting = self._waiting[step] = asyncio.Semaphore(0)

        async def arrived() -> None:
            async with asyncio.timeout(5):
                for _ in range(clients):
                    await waiting.acquire()

        try:
            yield arrived
        finally:
            del self._gates[step]
            gate.set()

    async def arrive(self, step: str) -> None:
        if gate := self._gates.get(step):
            self._waiting[step].release()
            await gate.wait()


class _Stepped:
    """Stands for a backend or a membership, and stops before each step."""

    def __init__(self, real: Any, steps: Steps) -> None:
        self._real = real
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name not in (READ, ROUTE, TAKE, RECORD):
            return method

        async def stepped(*args: Any) -> Any:
            await self._steps.arrive(name)
            return await method(*args)

        return stepped


def stepped(node: Node) -> Steps:
    """Make the admissions of a node's worker wait for this test."""
    steps = Steps()
    assert node.admission
    assert node.worker
    node.admission.backend = _Stepped(node.admission.backend, steps)
    node.worker.membership = _Stepped(node.worker.membership, steps)
    return steps
