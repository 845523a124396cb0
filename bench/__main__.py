"""`make bench`: what dSock does, each figure against a floor of the same run.

The server has the first core, the generator the last. `docs/performance.md` shows a run.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
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

Figures = list[Figure]
Failures = list[str]


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"of {', '.join(SHAPES)}; with commas")
    parser.add_argument("--places", default="", help="of memory, redis, redis_two; with commas")
    parser.add_argument("--rounds", type=int, help="of each measurement; the median counts")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one round, fewer clients, and not redis_two unless it is named",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    options = parser.parse_args(arguments)
    options.only = _chosen(parser, options.only, list(SHAPES))
    places = _chosen(parser, options.places, [place.name.lower() for place in Place])
    if options.quick and not options.places:
        places.remove(Place.REDIS_TWO.name.lower())
    options.places = [Place[one.upper()] for one in places]
    return options


def _chosen(parser: argparse.ArgumentParser, given: str, known: list[str]) -> list[str]:
    chosen = given.split(",") if given else known
    for one in chosen:
        if one not in known:
            parser.error(f"{one!r} is none of {', '.join(known)}")
    return chosen


def measured(effort: Effort, shapes: list[str], places: list[Place]) -> tuple[Figures, Failures]:
    """All figures of these shapes at these places, as far as they are measured there; and what
    could not be measured, with why."""
    figures: Figures = []
    failures: Failures = []
    with Brokers() as brokers, machine.on_core(machine.GENERATOR_CORE):
        bench = Bench(effort, brokers)
        if set(places) != {Place.MEMORY}:
            brokers.start_redis()
        for place in places:
            for name in [one for one in shapes if place in SHAPES[one][1]]:
                start = time.monotonic()
                print(f"{name}, {place.value}", end="", file=sys.stderr, flush=True)
                try:
                    figures.extend(SHAPES[name][0](bench, place))
                except OSError as error:  # refused, cut off, too late
                    failures.append(f"{name}, {place.value}: {error!r}")
                print(f": {time.monotonic() - start:.0f} s", file=sys.stderr)
    return figures, failures


def as_json(figures: Figures, effort: Effort, command: str, seconds: float) -> dict[str, Any]:
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
    figures, failures = measured(effort, options.only, options.places)
    # Where the JSON goes is nobody else's business.
    told = re.sub(r"--json[ =]\S+ ?", "", " ".join(arguments))
    command = f"python -m bench {told}".strip()
    run = as_json(figures, effort, command, time.monotonic() - start)
    print(as_text(run["figures"]))
    if options.json:
        options.json.write_text(json.dumps(run, indent=1) + "\n")
    if failures:
        sys.exit("\n".join(["not measured:", *failures]))


if __name__ == "__main__":
    main(sys.argv[1:])
