"""Waiting for something to become true, with a bound."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

STEP = 0.02
"""Seconds between two looks."""


async def holds_within(predicate: Callable[[], bool | Awaitable[bool]], within: float) -> bool:
    """Look again and again; whether it has become true in time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while True:
        found = predicate()
        if await found if inspect.isawaitable(found) else found:
            return True
        if loop.time() >= end:
            return False
        await asyncio.sleep(STEP)


async def eventually(
    predicate: Callable[[], bool | Awaitable[bool]], within: float = 10.0
) -> float:
    """Wait until it is true; fails when it is not in time. Returns how long it took."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert await holds_within(predicate, within), f"not within {within} s"
    return loop.time() - start


async def next_turn() -> None:
    """Return in the next turn of the loop, behind all that this one has left to it."""
    come = asyncio.Event()
    asyncio.get_running_loop().call_soon(come.set)
    await come.wait()
