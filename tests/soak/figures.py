"""What is in the processes of a broker and in its Redis, and whether that is more than before."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.soak.node import MARK
from tests.support.eventually import eventually
from tests.support.process import Process
from tests.support.redis_server import RedisServer

Figures = dict[str, int | frozenset[str]]
"""By name; of those of a process, the name begins with its place."""

RSS_SHARE, RSS_MORE = 0.1, 8 * 2**20
"""By how much a process may have grown: the allocator keeps what it was given."""


async def figures(nodes: Sequence[Process], redis: RedisServer | None) -> Figures:
    """All of them, now."""
    found: Figures = {}
    for place, node in enumerate(nodes):
        told = await _insides(node) | {"files": _files(node.pid), "rss": _rss(node.pid)}
        found |= {f"{place} {name}": number for name, number in told.items()}
    if redis:
        found["keys"] = frozenset(redis.keys())
    return found


def with_memory(one: Figures, other: Figures) -> Figures:
    """All figures of the one, but memory of the other."""
    return one | {name: figure for name, figure in other.items() if name.endswith(" rss")}


def at_least(one: Figures, other: Figures) -> Figures:
    """The least of each figure."""
    least: Figures = {}
    for name, figure in one.items():
        known = other[name]
        if isinstance(figure, int) and isinstance(known, int):
            least[name] = min(figure, known)
        elif isinstance(figure, frozenset) and isinstance(known, frozenset):
            least[name] = figure & known
    return least


def grown(before: Figures, after: Figures) -> dict[str, str]:
    """What is more than before, by the figure's name: exact, but for memory."""
    more: dict[str, str] = {}
    for name, figure in after.items():
        known = before[name]
        if isinstance(figure, frozenset) and isinstance(known, frozenset):
            if new := sorted(figure - known):
                more[name] = f"{len(new)} more, as {', '.join(new[:5])}"
        elif isinstance(figure, int) and isinstance(known, int):
            allowed = known
            if name.endswith(" rss"):
                allowed += max(int(known * RSS_SHARE), RSS_MORE)
            if figure > allowed:
                more[name] = f"{figure}, was {known}"
    return more


async def _insides(node: Process) -> dict[str, int]:
    def lines() -> list[str]:
        return [line for line in node.log if line.startswith(MARK)]

    before = len(lines())
    node.signal(signal.SIGUSR1)
    await eventually(lambda: len(lines()) > before, 20)
    told: dict[str, int] = json.loads(lines()[-1].removeprefix(MARK))
    return told


def _files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _rss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (one for one in lines if one.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
