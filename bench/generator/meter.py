"""Taking the time of an action, and what it costs who serves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from bench.figures import Sample
from bench.machine import cpu_seconds, family, settle

T = TypeVar("T")


def metered(action: Callable[[], int], server: Iterable[int], redis: int | None = None) -> Sample:
    """Operations a second, and CPU for each. `action` returns how many operations it was, when
    all that they lead to has happened; `server` are the processes that serve it."""
    pids = family(server)
    own = [redis] if redis else []
    settle(pids)
    before, redis_before = cpu_seconds(pids), cpu_seconds(own)
    busy, start = time.process_time(), time.perf_counter()
    count = action()
    passed, busy = time.perf_counter() - start, time.process_time() - busy
    return Sample(
        value=count / passed,
        cpu=(cpu_seconds(pids) - before) / count * 1e6,
        redis_cpu=(cpu_seconds(own) - redis_before) / count * 1e6 if redis else None,
        generator=busy / passed,
    )


def busy_while(action: Callable[[], T]) -> tuple[T, float]:
    """What the action returns, and how much of its core the generator used."""
    busy, start = time.process_time(), time.perf_counter()
    result = action()
    return result, (time.process_time() - busy) / (time.perf_counter() - start)
