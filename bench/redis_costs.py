"""`python -m bench.redis_costs`: what each operation costs Redis, the API and the worker.

Counts and CPU time only: what else the machine does changes them little. `docs/scaling.md` shows a
run, and the formulas. With `--check` these are compared with loads that they were not fitted to.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator, Sequence

from bench import machine
from bench.brokers import Brokers
from bench.costs.checks import Check, all_checks, memory_check
from bench.costs.model import Cost, Costs, Memory
from bench.costs.operations import LARGE, Size, bare, memories, operations
from bench.costs.variants import variants, with_more
from bench.table import number

QUICK = Size(rounds=1, alone=100, busy=500, members=200, rest=3.0, memory=1000, check=2000)

PARTS = ("commands", "bytes in", "bytes out", "Redis us", "API us", "worker us")

NAMES = {
    "claim": "a claim is made, with one channel",
    "connect_claim": "a connect with a claim, one channel",
    "connect_jwt": "a connect with a JWT, one channel",
    "leave": "a client leaves, one channel",
    "subscribe": "subscribe of one connection",
    "unsubscribe": "unsubscribe of one connection",
    "route": "a send: the call and its route",
    "told": "... and the first worker told",
    "more": "... and each further worker told",
    "told_quiet": "... the first with report=false",
    "more_quiet": "... each further with report=false",
    "kibibyte": "... and each KiB of body, for each worker told",
    "delivery": "... and each connection that gets it",
    "refresh": "a connection is refreshed",
    "redis_second": "Redis, a second",
    "api_second": "an API, a second",
    "worker_second": "a worker, a second",
    "row": "each worker for each node, a second",
}
"""What each field of `Costs` is in the table."""

SHARED = ("refresh", "redis_second", "api_second", "worker_second", "row")
"""Measured once: they do not depend on how many operations are under way."""


def rows(costs: Costs) -> Iterator[tuple[str, Cost]]:
    for name, shown in NAMES.items():
        yield shown, getattr(costs, name)


def table(head: str, lines: Sequence[tuple[str, Cost]]) -> str:
    """Markdown: a line for each cost."""
    cells = [[head, *PARTS], ["---"] + ["---:"] * len(PARTS)]
    cells += [[name, *map(_shown, _parts(cost))] for name, cost in lines]
    return _markdown(cells)


def checked(checks: Sequence[Check]) -> str:
    """Markdown: predicted, measured and their ratio, for each part of each check."""
    cells = [["load", "of a second or a send", "predicted", "measured", "ratio"]]
    cells.append(["---", "---", "---:", "---:", "---:"])
    for check in checks:
        pairs = zip(PARTS, _parts(check.predicted), _parts(check.measured), strict=True)
        for part, one, other in pairs:
            cells.append([check.name, part, number(one), number(other), _ratio(one, other)])
    return _markdown(cells)


def of_memory(costs: Memory) -> str:
    """Markdown: bytes of Redis."""
    lines = {
        "a connection without channels": costs.connection,
        "... for each channel it is in": costs.membership,
        "... once, if its channels take more than 64 bytes": costs.long,
        "a channel that somebody is in, for each worker": costs.channel,
        "a claim with one channel": costs.claim,
    }
    cells = [["memory of", "bytes"], ["---", "---:"]]
    return _markdown([*cells, *([name, number(size)] for name, size in lines.items())])


def measured(size: Size, check: bool) -> Iterator[str]:
    """The parts of the page, as they come."""
    with Brokers() as brokers:
        brokers.start_redis()
        nodes = bare(brokers, size)
        shared = [NAMES[name] for name in SHARED]
        alone, busy = (
            operations(brokers, nodes, size, in_flight) for in_flight in (1, size.in_flight)
        )
        sends = [dict(variants(brokers, size, one)) for one in (1, size.in_flight)]
        alone, busy = with_more(alone, sends[0]), with_more(busy, sends[1])
        many = f"{size.in_flight} at a time"
        for name, costs in (("one at a time", alone), (many, busy)):
            yield table(name, [one for one in rows(costs) if one[0] not in shared])
        yield table("whatever happens", [one for one in rows(busy) if one[0] in shared])
        for name, found in zip(("one at a time", many), sends, strict=True):
            yield table(f"a send, {name}", list(found.items()))
        stored = memories(brokers, size)
        yield of_memory(stored)
        if check:
            yield checked(list(all_checks(brokers, alone, busy, size)))
            one, other = memory_check(brokers, stored, size)
            yield _markdown(
                [
                    ["memory of", "predicted", "measured", "ratio"],
                    ["---", "---:", "---:", "---:"],
                    [
                        f"{size.check:,} connections in 5 channels each",
                        *(number(one), number(other), _ratio(one, other)),
                    ],
                ]
            )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.redis_costs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare the formulas with loads")
    parser.add_argument("--quick", action="store_true", help="one round, fewer operations")
    options = parser.parse_args(arguments)
    machine.raise_file_limit()
    gc.disable()
    what = machine.described()
    print(f"commit {machine.commit()}, {what['cpu']}, {what['cores']} cores", end=", ")
    print(f"Linux {what['kernel']}, Python {what['python']}; large bodies: {LARGE} bytes")
    with machine.on_core(machine.GENERATOR_CORE):
        for part in measured(QUICK if options.quick else Size(), options.check):
            print(f"\n{part}", flush=True)


def _parts(cost: Cost) -> Sequence[float]:
    return (
        *(cost.commands, cost.bytes_in, cost.bytes_out),
        *(cost.redis, cost.api, cost.worker),
    )


def _shown(value: float) -> str:
    # What is nothing comes out on either side of it.
    return number(max(0.0, value))


def _ratio(predicted: float, measured: float) -> str:
    return f"{predicted / measured:.2f}" if measured else ""


def _markdown(cells: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


if __name__ == "__main__":
    main(sys.argv[1:])
