"""Several contexts side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def together(*contexts: AbstractAsyncContextManager[T]) -> AsyncIterator[list[T]]:
    """Enter all at once and leave all at once: nobody waits for another's start or end."""
    loop = asyncio.get_running_loop()
    leave = asyncio.Event()

    async def inside(context: AbstractAsyncContextManager[T], entered: asyncio.Future[T]) -> None:
        try:
            async with context as value:
                entered.set_result(value)
                await leave.wait()
        except Exception as error:
            if not entered.done():
                entered.set_exception(error)
            raise

    entered: list[asyncio.Future[T]] = [loop.create_future() for _ in contexts]
    tasks = [
        asyncio.create_task(inside(context, future))
        for context, future in zip(contexts, entered, strict=True)
    ]
    try:
        yield await asyncio.gather(*entered)
    finally:
        leave.set()
        await asyncio.gather(*tasks)
