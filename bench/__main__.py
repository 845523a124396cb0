"""`make bench`: what dSock does, each figure against a floor of the same run.

The server has the first core, the generator the last. `docs/performance.md` shows a run.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.brokers import Brokers, Place
from bench.effort import FULL, QUICK, Bench, Effort
from bench.figures import Figure
from bench.shapes import SHAPES
from bench.table import as_text


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"of {', '.join(SHAPES)}; with commas")
    parser.add_argument("--places", default="", help="of memory, redis, redis_two; with commas")
    parser.add_argument("--rounds", type=int, help="of each measurement; the median counts")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer clients")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    options = parser.parse_args(arguments)
    options.only = _chosen(parser, options.only, list(SHAPES))
    options.places = [
        Place[one.upper()]
        for one in _chosen(parser, options.places, [place.name.lower() for place in Place])
    ]
    return options


def _chosen(parser: argparse.ArgumentParser, given: str, known: list[str]) -> list[str]:
    chosen = given.split(",") if given else known
    for one in chosen:
        if one not in known:
            parser.error(f"{one!r} is none of {', '.join(known)}")
    return chosen


def measured(effort: Effort, shapes: list[str], places: list[Place]) -> list[Figure]:
    """All figures of these shapes at these places, as far as they are measured there."""
    figures: list[Figure] = []
    with Brokers() as brokers, machine.on_core(machine.GENERATOR_CORE):
        bench = Bench(effort, brokers)
        if set(places) != {Place.MEMORY}:
            brokers.start_redis()
        for place in places:
            for name in shapes:
                shape, at = SHAPES[name]
                if place in at:
                    print(f"{name}, {place.value}...", file=sys.stderr)
                    figures.extend(shape(bench, place))
    return figures


def as_json(figures: list[Figure], effort: Effort, command: str, seconds: float) -> dict[str, Any]:
    return {
        "command": command,
        "commit": machine.commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine.described(),
        "rounds": effort.rounds,
        "seconds": round(seconds),
        "figures": [figure.as_json() for figure in figures],
    }


def main(arguments: list[str]) -> None:
    options = parsed(arguments)
    effort = QUICK if options.quick else FULL
    if options.rounds:
        effort = replace(effort, rounds=options.rounds)
    machine.raise_file_limit()
    gc.disable()  # its pauses would be taken for the server's
    start = time.monotonic()
    figures = measured(effort, options.only, options.places)
    print(as_text(figures))
    if options.json:
        command = " ".join(["python -m bench", *arguments])
        content = as_json(figures, effort, command, time.monotonic() - start)
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
