"""Promises 1 to 8 under fire: schedules of faults that chance has made, a few in every run of the
tests. `make nemesis` goes on with others.
"""

from __future__ import annotations

import pytest

from tests.faults.nemesis import run
from tests.faults.schedule import KINDS, schedule
from tests.faults.verdict import told

SECONDS = 7.0
"""In which faults begin."""


def test_a_schedule_is_made_of_its_seed_and_nothing_else() -> None:
    assert schedule(1, 60) == schedule(1, 60) != schedule(2, 60)
    assert str(schedule(1, 60)) == str(schedule(1, 60))


def test_a_longer_schedule_begins_as_a_shorter_one() -> None:
    shorter, longer = schedule(3, 20).steps, schedule(3, 40).steps
    assert longer[: len(shorter)] == shorter


def test_schedules_have_every_fault_and_no_victim_has_two_at_a_time() -> None:
    happened = set()
    for seed in range(50):
        free: dict[str, float] = {}
        for step in schedule(seed, 60).steps:
            assert step.at >= free.get(step.victim, 0.0)
            free[step.victim] = step.at + step.lasts
            happened.add(step.kind)
    assert happened == {kind.name for kind in KINDS}


@pytest.mark.parametrize("seed", [15, 25, 38])
async def test_no_promise_is_broken_under_a_schedule_of_faults(seed: int) -> None:
    plan = schedule(seed, SECONDS)
    seen = await run(plan, seed)
    assert not seen.found, f"--seed {seed} --seconds {SECONDS:g}\n{plan}\n{told(seen)}"
    assert sum(len(client.received) for client in seen.ledger.clients) > 100
