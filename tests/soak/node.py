"""`dsock` as it is, but on SIGUSR1 it writes what is in it: `python -m tests.soak.node ROLE`.

With `--plant NAME` something is forgotten on purpose (`planted.py`).
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from dsock import node
from dsock.cli import main
from dsock.node import Plan
from dsock.processes.process import Process
from dsock.worker.worker import Worker
from tests.soak.planted import PLANTED

MARK = "insides: "
"""How the line begins in which it is told."""

_run = node.run

_KEPT = ("Connection", "HttpProtocol", "Upgrade", "RequestResponseCycle")
"""What there is one of for each client or request."""


_workers: list[Worker] = []
"""That of this node, if it has one: the collector no longer shows what was frozen."""


class _Known(Worker):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _workers.append(self)


def insides() -> dict[str, int]:
    """How many there are of all that must be gone with who needed it."""
    gc.collect()
    found = gc.get_objects()
    kinds = Counter(type(one).__name__ for one in found)
    told = {"tasks": len(asyncio.all_tasks()), "timers": kinds["TimerHandle"]}
    told |= {name: kinds[name] for name in _KEPT}
    for worker in _workers:
        sizes = worker.registry.sizes()
        told |= dict(zip(("connections", "users", "channels"), sizes, strict=True))
    return told


def tell() -> None:
    print(f"{MARK}{json.dumps(insides())}", file=sys.stderr, flush=True)


async def run(plan: Plan, announce: Callable[[int], None], process: Process | None = None) -> None:
    """The same as the product's, but it tells when it is asked."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
    await _run(plan, announce, process)


if __name__ == "__main__":
    if sys.argv[1] == "--plant":
        PLANTED[sys.argv[2]]()
        del sys.argv[1:3]
    node.run, node.Worker = run, _Known  # type: ignore[attr-defined]
    sys.exit(main())
