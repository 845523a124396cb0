"""What is broken when, made from a seed and nothing else: the same seed, the same schedule."""

from __future__ import annotations

import random
from dataclasses import dataclass

LEASE = 3.0
"""`worker_lease` of the system on which schedules run, in seconds."""

WORKERS, APIS = 2, 2

QUIET = 1.5
"""Seconds of a run before its first fault."""

Spread = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault that can happen; `lasts` are the seconds between which it is chosen."""

    name: str
    victims: tuple[str, ...]
    lasts: Spread
    weight: int = 1


_WORKERS = tuple(f"worker {number}" for number in range(WORKERS))
_APIS = tuple(f"api {number}" for number in range(APIS))
_NODES = _WORKERS + _APIS

KINDS = (
    Kind("redis frozen", ("redis",), (0.3, 5.0), 3),
    Kind("redis lost", ("redis",), (0.1, 3.0), 3),
    Kind("redis emptied", ("redis",), (0.0, 0.0), 2),
    Kind("small buffers", ("redis",), (1.0, 3.0), 2),
    Kind("wire reset", _NODES, (0.0, 0.0), 2),
    Kind("wire lost", _NODES, (0.5, 6.0)),
    Kind("wire lost there", _NODES, (0.5, 6.0)),
    Kind("wire lost back", _NODES, (0.5, 6.0)),
    Kind("answers lost", _NODES, (0.02, 0.6), 2),
    Kind("wire deaf", _NODES, (0.5, 6.0)),
    Kind("wire stalled", _NODES, (0.3, 6.0), 2),
    Kind("wire slow", _NODES, (1.0, 4.0)),
    Kind("wire sliced", _NODES, (1.0, 4.0)),
    Kind("wire narrow", _NODES, (1.0, 3.0)),
    Kind("wire ending", _NODES, (1.0, 3.0)),
    Kind("stopped", _WORKERS, (0.1, LEASE - 1), 2),
    Kind("stopped for long", _WORKERS, (LEASE + 1, LEASE + 4), 2),
    Kind("stopped", _APIS, (0.1, 4.0)),
    Kind("killed", _NODES, (0.0, 2.0), 3),
    Kind("drained", _WORKERS, (0.0, 1.0)),
    Kind("clients vanish", ("clients",), (0.0, 0.0), 2),
    Kind("clients stall", ("clients",), (0.5, 3.0)),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One fault: what happens to whom, from which second of the run on, for how long."""

    at: float
    kind: str
    victim: str
    lasts: float
    seed: int
    """For what chance decides while it lasts."""

    def __str__(self) -> str:
        return f"{self.at:6.2f} s  {self.victim:9} {self.kind:16} for {self.lasts:.2f} s"


@dataclass(frozen=True, slots=True)
class Schedule:
    method: str
    """The `messaging_method`."""
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return "\n".join((f"messaging_method={self.method}", *map(str, self.steps)))


def schedule(seed: int, seconds: float, method: str | None = None) -> Schedule:
    """Faults one after the other, some of them while the last one still lasts; a victim has
    one at a time. All have begun within so many seconds."""
    chance = random.Random(seed)
    chosen = chance.choice(("redis", "direct"))
    busy: dict[str, float] = {}
    steps: list[Step] = []
    at = QUIET
    weights = [kind.weight for kind in KINDS]
    while at < seconds:
        [kind] = chance.choices(KINDS, weights)
        victim = chance.choice(kind.victims)
        lasts = chance.uniform(*kind.lasts)
        at = max(at, busy.get(victim, 0.0))
        if at < seconds:
            steps.append(Step(at, kind.name, victim, lasts, chance.getrandbits(32)))
            busy[victim] = at + lasts
        overlaps = chance.random() < 0.4
        at += chance.uniform(0.0, 0.8) if overlaps else lasts + chance.uniform(0.5, 3.0)
    return Schedule(method or chosen, tuple(steps))
