"""What the machine says: cores, CPU time and memory of processes, and what it is."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SERVER_CORE = 0
GENERATOR_CORE = (os.cpu_count() or 1) - 1
"""The last one; with one core only, server and generator share it."""

_PROC = Path("/proc")


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside this context stays on that core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit() -> None:
    """As many open files as this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def family(pids: Iterable[int]) -> set[int]:
    """These processes and all that descend from them."""
    parents = {int(one.name): _stat(int(one.name)) for one in _PROC.iterdir() if one.name.isdigit()}
    found = set(pids)
    while (
        more := {pid for pid, fields in parents.items() if fields and int(fields[1]) in found}
        - found
    ):
        found |= more
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes so far, all their threads included."""
    # To the nanosecond, where proc(5)'s stat counts ticks of 10 ms.
    total = 0
    for pid in pids:
        for file in (_PROC / str(pid) / "task").glob("*/schedstat"):
            with suppress(OSError):  # it has just ended
                total += int(file.read_text().split()[0])
    return total / 1e9


def memory(pids: Iterable[int]) -> int:
    """Bytes of memory that these processes have for themselves, shared pages by their part
    (PSS)."""
    total = 0
    for pid in pids:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def settle(pids: Iterable[int], within: float = 10.0) -> None:
    """Return once these processes are at rest: nothing of an earlier measurement is left to
    do. They are taken to be at rest while they use less than 4 % of a core."""
    end = time.monotonic() + within
    pids = list(pids)
    step = 0.1
    before = cpu_seconds(pids)
    while time.monotonic() < end:
        time.sleep(step)
        now = cpu_seconds(pids)
        if now - before < 0.04 * step:
            return
        before = now


def described() -> dict[str, str]:
    """What a figure depends on besides the code."""
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit that is checked out, with a mark if files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return done.stdout.strip() or "unknown"


def _cpu_model() -> str:
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _stat(pid: int) -> list[str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return []
    # The name, in brackets, may hold anything.
    return text.rpartition(")")[2].split()
