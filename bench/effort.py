"""How much is measured, and with what: what every shape is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.brokers import Brokers, Place
from bench.figures import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How often, how long, how many."""

    rounds: int = 3
    seconds: float = 1.0
    """Of one round of one measurement."""
    channel: int = 1000
    """Members of the small channel."""
    crowd: int = 9000
    """Members of the large one; also who is idle, and who storms."""
    users: int = 10_000
    connects: int = 2000
    """Of one round."""
    window: float = 10.0
    """Seconds for which idle connections are watched, a round."""


FULL = Effort()
QUICK = Effort(rounds=1, seconds=0.4, crowd=2000, users=2000, connects=500, window=3.0)


@dataclass(frozen=True, slots=True)
class Bench:
    """One run."""

    effort: Effort
    brokers: Brokers


Shape = Callable[[Bench, Place], Iterator[Figure]]
"""Measures one thing at one place."""
