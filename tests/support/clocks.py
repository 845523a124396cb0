"""Processes whose clock is wrong."""

from __future__ import annotations

import functools
import subprocess

from tests.support.process import DSOCK


def with_clock(seconds: int) -> tuple[str, ...]:
    """The command of a dSock whose time of day is so much later than ours, or earlier. What it
    measures with goes as ever."""
    return (
        "env",
        f"LD_PRELOAD={_library()}",
        f"FAKETIME={seconds:+d}s",
        # By either name, as its version has it.
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "DONT_FAKE_MONOTONIC=1",
        *DSOCK,
    )


@functools.cache
def _library() -> str:
    """Where libfaketime is, as its own program says."""
    asked = ("faketime", "-f", "+0s", "printenv", "LD_PRELOAD")
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
