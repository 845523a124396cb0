"""What the processes of a node know of each other: a piece of memory that all of them see."""

from __future__ import annotations

import ctypes
import mmap
import os
import time

STILL = 5.0
"""Seconds after which a process that does not beat counts as not ready."""


class Row(ctypes.Structure):
    """One process; nobody else writes here while it runs. Each field is one aligned word:
    whoever reads sees the old value or the new one. Times are those of `time.monotonic`, a
    clock that all processes share."""

    pid: int
    """0: it does not run."""
    beats: int
    beaten_at: float
    up_since: float
    """When it began to answer; 0: not yet."""
    is_ready: int
    reached: int
    """Whether the backend is in its reach."""
    connections: int
    users: int
    channels: int

    _fields_ = (
        ("pid", ctypes.c_int64),
        ("beats", ctypes.c_int64),
        ("beaten_at", ctypes.c_double),
        ("up_since", ctypes.c_double),
        ("is_ready", ctypes.c_int64),
        ("reached", ctypes.c_int64),
        ("connections", ctypes.c_int64),
        ("users", ctypes.c_int64),
        ("channels", ctypes.c_int64),
    )

    def clear(self) -> None:
        ctypes.memset(ctypes.addressof(self), 0, ctypes.sizeof(self))


class _Sums(ctypes.Structure):
    restarts: int
    past_cpu: float

    _fields_ = (("restarts", ctypes.c_int64), ("past_cpu", ctypes.c_double))


class Board:
    """A row for each of `count` processes, made by their parent before it forks.

    `sums.restarts` counts how often one was started again; `sums.past_cpu` is the CPU time, in
    seconds, of those that have ended. The parent writes both.
    """

    def __init__(self, count: int) -> None:
        first = ctypes.sizeof(_Sums)
        memory = mmap.mmap(-1, first + count * ctypes.sizeof(Row))
        self.parent = os.getpid()
        self.sums = _Sums.from_buffer(memory)
        self.rows = list((Row * count).from_buffer(memory, first))

    @property
    def all_ready(self) -> bool:
        """Whether every process answers, is ready, and has beaten lately."""
        oldest = time.monotonic() - STILL
        # One that only starts beats, too, and knows of no trouble yet.
        return all(row.up_since and row.is_ready and row.beaten_at > oldest for row in self.rows)
