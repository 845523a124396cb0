"""`make soak`: an hour of half the load that a broker can bear, on memory and on Redis.

Its status is 0 when all is back where it was, each time and at the end.
"""

from __future__ import annotations

import argparse
import sys

import uvloop

from tests.soak.soak import Effort, Run, broker, soak
from tests.support.redis_server import RedisServer

ROUND = 300.0
"""Seconds of load between two looks at what is left of it."""


async def _run(redis: RedisServer | None, effort: Effort) -> Run:
    async with broker(redis) as nodes:
        return await soak(nodes, redis, effort, lambda line: print(line, flush=True))


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="on both together")
    options = parser.parse_args()
    seconds = options.minutes * 60 / 2
    rounds = max(1, round(seconds / ROUND))
    effort = Effort(5.0, min(60.0, seconds / 5), seconds / rounds, rounds, 60.0)
    runs = []
    for place in ("memory", "redis"):
        print(f"{place}: {rounds} rounds of {effort.load:.0f} s", flush=True)
        if place == "memory":
            runs.append(uvloop.run(_run(None, effort)))
        else:
            with RedisServer() as server:
                runs.append(uvloop.run(_run(server, effort)))
        last = runs[-1]
        print(f"{last.calls:,} calls, {last.guests:,} clients, {last.refused} refused")
        print(f"{last.away} stayed away; closed: {dict(last.closed)}")
    return bool(any(run.grown for run in runs))


if __name__ == "__main__":
    sys.exit(_main())
