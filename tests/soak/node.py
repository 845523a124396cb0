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

from dsock import node
from dsock.cli import main
from dsock.node import Plan
from dsock.processes.process import Process
from dsock.worker.registry import Registry
from tests.soak.planted import PLANTED

MARK = "insides: "
"""How the line begins in which it is told."""

_run = node.run

_KEPT = ("Connection", "HttpProtocol", "Upgrade", "RequestResponseCycle")
"""What there is one of for each client or request."""


def insides() -> dict[str, int]:
    """How many there are of all that must be gone with who needed it."""
    gc.unfreeze()  # what was there when it came up is to be seen too
    gc.collect()
    found = gc.get_objects()
    kinds = Counter(type(one).__name__ for one in found)
    told = {"tasks": len(asyncio.all_tasks()), "timers": kinds["TimerHandle"]}
    told |= {name: kinds[name] for name in _KEPT}
    for registry in (one for one in found if isinstance(one, Registry)):
        sizes = registry.sizes()
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
    node.run = run
    sys.exit(main())
