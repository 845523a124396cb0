"""The bench itself, with tiny numbers: it runs to its end and measures something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.brokers import Brokers, Place
from bench.effort import Bench, Effort
from bench.machine import cpu_seconds, family, memory
from bench.processes import ROOT
from bench.shapes import SHAPES

TINY = Effort(rounds=1, seconds=0.1, channel=20, crowd=30, users=20, connects=20, window=2.5)

SLOW = ("idle-memory", "many-channels", "subscriptions")
"""They wait for pings, or their numbers are fixed."""


@pytest.mark.parametrize(
    "name", [name for name, (_, at) in SHAPES.items() if Place.MEMORY in at and name not in SLOW]
)
def test_each_shape_measures_something(name: str) -> None:
    shape, _ = SHAPES[name]
    with Brokers() as brokers:
        figures = list(shape(Bench(TINY, brokers), Place.MEMORY))
    assert figures
    for figure in figures:
        assert figure.value > 0
        assert len(figure.samples) == TINY.rounds
        assert len(figure.floor_samples) in (0, TINY.rounds)


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    arguments = ["--only", "channel", "--places", "memory", "--rounds", "1", "--quick"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--json", str(file)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    run = json.loads(file.read_text())
    assert "one send at a time" in done.stdout
    assert run["figures"][0]["floor_median"] > 0
    assert run["command"].startswith("python -m bench --only channel")


def test_a_process_and_its_children_are_measured_together() -> None:
    own = os.getpid()
    child = subprocess.Popen(["sleep", "60"])
    try:
        pids = family([own])
        assert {own, child.pid} <= pids
        alone = cpu_seconds([own])
        assert cpu_seconds(pids) >= alone > 0
        assert memory([own]) > 1_000_000
    finally:
        child.kill()
        child.wait()
