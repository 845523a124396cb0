"""One `/metrics` for all processes of a node: whichever answers, it shows the sums.

Counters are in files that all can read, one set for each index, and whoever takes a place
goes on with what it finds: sums never fall. What is true only now is on the board, and goes
with its process.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, values
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from dsock.errors import StartError
from dsock.processes.board import Board

MEMORY = "/dev/shm"  # noqa: S108 - the folder is made by mkdtemp, for its owner alone
"""Where files are never written to a disk, for which a process might have to wait."""

_FOLD: dict[str, Callable[[list[float]], float]] = {
    "process_start_time_seconds": min,
    # Each process has a limit of its own: that of the fullest counts.
    "process_open_fds": max,
    "process_max_fds": min,
}
"""How the same figure of several processes becomes one, where that is not their sum."""


class Totals(Collector):
    """The figures of all processes. `holds_clients`: there are connections to be counted."""

    def __init__(self, board: Board, folder: str, holds_clients: bool) -> None:
        self._board = board
        self._folder = folder
        self._sizes = ("connections", "users", "channels") if holds_clients else ()
        self._index = 0

    @classmethod
    @contextmanager
    def open(cls, board: Board, holds_clients: bool) -> Iterator[Totals]:
        """The parent's: the files are there inside this context. Raises `StartError`."""
        where = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else None
        try:
            self = cls(board, tempfile.mkdtemp(prefix="dsock-", dir=where), holds_clients)
        except OSError as error:
            reason = f"no folder for the metrics of several processes: {error.strerror}"
            raise StartError(f"{reason}: set TMPDIR") from None
        try:
            yield self
        finally:
            self.remove()

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def begin(self, index: int) -> None:
        """This process is the one with this index: every counter that it makes from now on
        goes on where the last of this index was."""
        self._index = index
        # The library knows no other way to be told.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = self._folder
        values.ValueClass = values.MultiProcessValue(lambda: index)  # type: ignore[no-untyped-call]

    def registry(self) -> CollectorRegistry:
        """What `/metrics` shows."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._folder)  # type: ignore[no-untyped-call]
        registry.register(self)
        return registry

    def reached(self, reached: bool) -> None:
        """Whether the backend is in reach of this process."""
        self._board.rows[self._index].reached = reached

    def collect(self) -> Iterable[Metric]:
        rows = [row for row in self._board.rows if row.pid]
        yield GaugeMetricFamily(
            "dsock_backend_reached",
            "Whether the backend is in reach of all processes",
            value=min((row.reached for row in rows), default=0),
        )
        yield GaugeMetricFamily(
            "dsock_ready", "Whether all processes are ready", value=int(self._board.all_ready)
        )
        for name in self._sizes:
            value = sum(getattr(row, name) for row in rows)
            yield GaugeMetricFamily(f"dsock_{name}", f"{name.capitalize()} here", value=value)
        processes = GaugeMetricFamily("dsock_processes", "Processes", labels=["state"])
        processes.add_metric(["wanted"], len(self._board.rows))
        processes.add_metric(["running"], sum(row.up_since > 0 for row in rows))
        yield processes
        yield CounterMetricFamily(
            "dsock_process_restarts",
            "Processes that were started again",
            value=self._board.sums.restarts,
        )
        yield from self._of_the_system([self._board.parent, *(row.pid for row in rows)])

    def _of_the_system(self, pids: list[int]) -> Iterator[Metric]:
        found: dict[str, list[Metric]] = {}
        for pid in pids:
            of_one = ProcessCollector(pid=functools.partial(int, pid), registry=None)
            for metric in of_one.collect():
                found.setdefault(metric.name, []).append(metric)
        for name, metrics in found.items():
            samples = [sample for metric in metrics for sample in metric.samples]
            value = _FOLD.get(name, sum)([sample.value for sample in samples])
            if name == "process_cpu_seconds":
                value += self._board.sums.past_cpu
            total = Metric(name, metrics[0].documentation, metrics[0].type)
            total.add_sample(samples[0].name, {}, value)
            yield total
