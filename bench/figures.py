"""What was measured: rounds, and what is made of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

BUSY = 0.9
"""Share of its core above which the generator may have been the limit."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one measurement."""

    value: float
    cpu: float | None = None
    """Microseconds of the server's CPU for one operation: user and system time of all its
    processes, Redis not counted."""
    redis_cpu: float | None = None
    """The same of Redis."""
    generator: float = 0.0
    """How much of its core the generator used, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a figure should be: its ratio to the floor, or itself, at least or at most."""

    of: Literal["ratio", "value"]
    least: float = -math.inf
    most: float = math.inf

    def __str__(self) -> str:
        sign, bound = ("≥", self.least) if self.least > -math.inf else ("≤", self.most)
        return f"{sign} {bound:,g}{' x floor' if self.of == 'ratio' else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row: what was measured where, its floor, and what was wanted."""

    shape: str
    place: str
    """The backend, and on which cores."""
    name: str
    unit: str
    samples: tuple[Sample, ...]
    floor: str = ""
    floor_samples: tuple[Sample, ...] = ()
    """One for each of `samples`, of the same round."""
    wanted: Wanted | None = None
    note: str = ""
    load: float | None = None
    """For a latency: at which part of the capacity."""

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return statistics.median(one.value for one in self.samples)

    @property
    def floor_value(self) -> float | None:
        """The median of the floor's rounds."""
        if not self.floor_samples:
            return None
        return statistics.median(one.value for one in self.floor_samples)

    @property
    def ratio(self) -> float | None:
        """The median of each round's value over the floor of the same round."""
        if not self.floor_samples:
            return None
        pairs = zip(self.samples, self.floor_samples, strict=True)
        return statistics.median(one.value / floor.value for one, floor in pairs)

    @property
    def cpu(self) -> float | None:
        """Microseconds of the server's CPU for one operation: the median."""
        return _median([one.cpu for one in self.samples])

    @property
    def floor_cpu(self) -> float | None:
        return _median([one.cpu for one in self.floor_samples])

    @property
    def redis_cpu(self) -> float | None:
        return _median([one.redis_cpu for one in self.samples])

    @property
    def generator_limits(self) -> bool:
        """Whether the generator was the limit in most rounds: the server might do better."""
        return statistics.median(one.generator for one in self.samples) > BUSY

    @property
    def holds(self) -> bool | None:
        """Whether it is as wanted; None if nothing was."""
        if self.wanted is None:
            return None
        measured = self.ratio if self.wanted.of == "ratio" else self.value
        return measured is not None and self.wanted.least <= measured <= self.wanted.most

    def as_json(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "place": self.place,
            "name": self.name,
            "unit": self.unit,
            "median": self.value,
            "min": min(one.value for one in self.samples),
            "max": max(one.value for one in self.samples),
            "cpu_us": self.cpu,
            "redis_cpu_us": self.redis_cpu,
            "generator": [one.generator for one in self.samples],
            "generator_limits": self.generator_limits,
            "rounds": [one.value for one in self.samples],
            "floor": self.floor,
            "floor_median": self.floor_value,
            "floor_cpu_us": self.floor_cpu,
            "floor_rounds": [one.value for one in self.floor_samples],
            "ratio": self.ratio,
            "wanted": str(self.wanted) if self.wanted else None,
            "holds": self.holds,
            "note": self.note,
            "load": self.load,
        }


def interleaved(
    rounds: int, measurements: Mapping[str, Callable[[], Sample]]
) -> dict[str, tuple[Sample, ...]]:
    """Each measurement once a round, one after the other, so that what changes on the machine
    meanwhile meets all of them."""
    taken: dict[str, list[Sample]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            taken[name].append(measure())
    return {name: tuple(samples) for name, samples in taken.items()}


def percentile(ordered: Sequence[float], part: float) -> float:
    """The least of these that at least `part` (0 to 1) of them do not exceed. They are in
    ascending order, and there is one at least."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def _median(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return statistics.median(known) if known else None
