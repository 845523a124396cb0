"""Leaks on purpose: a soak that does not find them is worth nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from dsock.backends.memory import MemoryMembership
from dsock.backends.redis.membership import RedisMembership
from dsock.worker import registry
from dsock.worker.worker import Worker

_kept: list[Any] = []


def _channels() -> None:
    # A group of a channel stays in the registry when it is empty.
    remove = registry._remove

    def forgetful(index: dict[str, dict[str, Any]], key: str, id: str) -> None:
        if key.startswith("room"):
            index.get(key, {}).pop(id, None)
        else:
            remove(index, key, id)

    registry._remove = forgetful


def _at_each_client(leak: Callable[[], object]) -> None:
    opened = Worker.opened

    def leaking(worker: Worker, connection: Any) -> None:
        opened(worker, connection)
        leak()

    Worker.opened = leaking  # type: ignore[method-assign,assignment]


def _tasks() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    _at_each_client(lambda: _kept.append(asyncio.create_task(forever())))


def _timers() -> None:
    _at_each_client(lambda: asyncio.get_running_loop().call_later(10**6, print))


def _files() -> None:
    _at_each_client(lambda: _kept.append(os.open(os.devnull, os.O_RDONLY)))


def _memory() -> None:
    _at_each_client(lambda: _kept.append(os.urandom(2**18)))


def _connections() -> None:
    left = Worker.left

    def keeping(worker: Worker, connection: Any) -> None:
        _kept.append(connection)
        left(worker, connection)

    Worker.left = keeping  # type: ignore[method-assign,assignment]


def _records() -> None:
    # What a worker has in Redis about a client that has left.
    def forgetting(_: RedisMembership | MemoryMembership, connection: Any) -> None: ...

    RedisMembership.forget = forgetting  # type: ignore[method-assign,assignment]


PLANTED: dict[str, Callable[[], None]] = {
    "channels": _channels,
    "tasks": _tasks,
    "timers": _timers,
    "files": _files,
    "rss": _memory,
    "Connection": _connections,
    "keys": _records,
}
"""By the figure in which it must show."""
