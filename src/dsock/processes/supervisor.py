"""The parent of several processes: it starts them, watches them, starts them again, and
passes on that they have to stop.

It never runs an event loop and has one thread, so what it forks is clean; and since it handles
no signal but waits for each, nothing happens while it does something else.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from dsock.errors import StartError
from dsock.processes.board import Board, Row
from dsock.processes.ports import Ports
from dsock.processes.process import HELD_BACK

TICK = 0.5
"""Seconds between two looks at the processes; while they start for the first time, `QUICK`."""

QUICK = 0.02

HUNG = 30.0
"""Seconds without a beat after which a process is killed."""

STEADY = 60.0
"""Seconds for which a process must have answered to be started again at once when it ends."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before one is started again that was not steady, each time twice as many."""

_CANNOT_START = 2
_LONGEST_REASON = 2048

log = structlog.stdlib.get_logger("dsock.processes")

Body = Callable[[int, int], None]
"""Is the process with an index until it has to stop, or until its lifeline, a pipe, ends.
Raises `StartError`."""


@dataclass(slots=True)
class _Child:
    """A process as the parent knows it; it runs if it has a pid."""

    index: int
    row: Row
    pid: int = 0
    reason: int = -1
    """A pipe, in which it says why it could not start."""
    failures: int = 0
    """How often in a row it was not steady."""
    due: float = 0.0
    """When to start it again."""
    beats: int = 0
    silent: float = 0.0
    hung: bool = False


class Supervisor:
    """`body` is what the processes do, one for each row of the board, with its sockets.
    `all_up` is called once all of them answer."""

    def __init__(self, board: Board, ports: Ports, body: Body, all_up: Callable[[], None]) -> None:
        self._board = board
        self._ports = ports
        self._body = body
        self._all_up = all_up
        self._children = [_Child(index, row) for index, row in enumerate(board.rows)]
        self._first_start = True
        self._stopping = False
        self._status = 0
        self._why = ""
        self._looked_at = time.monotonic()
        self._lifeline, self._held = os.pipe()

    def run(self) -> int:
        """Have them run until a signal says stop and all have ended; returns the exit status.
        Raises `StartError` when the first start failed with one."""
        # To the end: one that comes while all is being put away changes nothing any more.
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        # Who started this may have ignored it; then nobody would be there to be buried.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # What is there now stays, and need not be copied for each process to be looked at.
        gc.freeze()
        self._start_due()
        while any(child.pid for child in self._children) or not self._stopping:
            received = signal.sigtimedwait(HELD_BACK, QUICK if self._first_start else TICK)
            number = received.si_signo if received else 0
            if number in (signal.SIGTERM, signal.SIGINT):
                if self._stopping:
                    return self._end_at_once(number)
                self._stop()
            self._collect()
            self._look()
            self._start_due()
        if self._why:
            raise StartError(self._why)
        return self._status

    def _start(self, child: _Child) -> None:
        child.reason, reason = os.pipe()
        # What is not written yet would be written by both.
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError:
            os.close(child.reason)
            os.close(reason)
            raise
        if pid == 0:
            status = 1
            try:
                status = self._live(child, reason)
            finally:
                os._exit(status)
        os.close(reason)
        child.pid = child.row.pid = pid
        child.beats, child.silent, child.hung = 0, 0.0, False

    def _live(self, child: _Child, reason: int) -> int:
        """The whole life of a process; returns its exit status."""
        try:
            os.close(self._held)
            child.row.pid = os.getpid()
            self._body(child.index, self._lifeline)
        except StartError as error:
            os.write(reason, str(error).encode()[:_LONGEST_REASON])
            return _CANNOT_START
        except BaseException:
            traceback.print_exc()
            return 1
        else:
            return 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    def _collect(self) -> None:
        """Take note of the processes that have ended."""
        by_pid = {child.pid: child for child in self._children if child.pid}
        while by_pid:
            # As the first process of a container it may have to bury others, too.
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                return
            if child := by_pid.pop(pid, None):
                self._board.sums.past_cpu += usage.ru_utime + usage.ru_stime
                self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: _Child, status: int) -> None:
        said = os.read(child.reason, _LONGEST_REASON).decode(errors="replace")
        os.close(child.reason)
        why = f"no beat for {HUNG:g} s" if child.hung else said or _in_words(status)
        up_since, pid = child.row.up_since, child.pid
        child.row.clear()
        child.pid = 0
        if self._first_start and not up_since and (status or not self._stopping):
            self._cannot_start(said, status if status > 0 else 128 - status)
            if not said:
                log.error("process ended before it was up", process=child.index, pid=pid, why=why)
            return
        if self._stopping:
            if status and up_since:
                log.error("process ended", process=child.index, pid=pid, why=why)
                self._status = self._status or 1
            return
        pause = self._pause(child, up_since)
        log.error("process ended", process=child.index, pid=pid, why=why, again_in=f"{pause:g}s")

    def _cannot_start(self, why: str, status: int) -> None:
        """The node does not start: what is said and ends first counts."""
        self._why = self._why or why
        self._status = self._status or status
        if not self._stopping:
            self._stop()

    def _pause(self, child: _Child, up_since: float) -> float:
        """Set when it is started again; returns in how many seconds."""
        now = time.monotonic()
        if up_since and now - up_since >= STEADY:
            child.failures = 0
        failures, child.failures = child.failures, child.failures + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10)) if failures else 0.0
        child.due = now + pause
        if pause:
            with suppress(StartError):  # They wait, then.
                self._ports.shut(child.index)
        return pause

    def _look(self) -> None:
        """See who is up, and who stands still: only as long as the parent did not itself."""
        now = time.monotonic()
        passed, self._looked_at = min(now - self._looked_at, 2 * TICK), now
        for child in self._children:
            if not child.pid:
                continue
            if child.row.beats != child.beats:
                child.beats, child.silent = child.row.beats, 0.0
                continue
            child.silent += passed
            if child.silent >= HUNG and not child.hung:
                child.hung = True
                log.error("process stands still: killing it", process=child.index, pid=child.pid)
                os.kill(child.pid, signal.SIGKILL)
        if self._first_start and all(child.row.up_since for child in self._children):
            self._first_start = False
            self._all_up()

    def _start_due(self) -> None:
        for child in self._children:
            if self._stopping or child.pid or time.monotonic() < child.due:
                continue
            try:
                self._start(child)
            except OSError as error:
                self._not_forked(child, error.strerror or type(error).__name__)
                continue
            if child.failures:
                self._board.sums.restarts += 1
                log.info("process started again", process=child.index, pid=child.pid)

    def _not_forked(self, child: _Child, why: str) -> None:
        if self._first_start:
            self._cannot_start(f"cannot start {len(self._children)} processes: {why}", 2)
            return
        pause = self._pause(child, 0.0)
        log.error("process not started", process=child.index, why=why, again_in=f"{pause:g}s")

    def _stop(self) -> None:
        self._stopping = True
        self._ports.close()
        for child in self._children:
            if child.pid:
                os.kill(child.pid, signal.SIGTERM)

    def _end_at_once(self, number: int) -> int:
        for child in self._children:
            if child.pid:
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
        return 128 + number


def _in_words(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
