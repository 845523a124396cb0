"""Clients that come and go: `python -m bench.generator.churn PORT CHANNEL COUNT RATE`.

So many members of the channel are connected at any time, and so many a second are replaced, the
oldest first. A process of its own, on the generator's core, until it is stopped.
"""

from __future__ import annotations

import sys
import time
from collections import deque

from bench.generator.dial import dial, hang_up
from bench.generator.requests import upgrade_as
from bench.machine import raise_file_limit


def main(port: int, channel: str, count: int, rate: float) -> None:
    raise_file_limit()
    heads = [upgrade_as(f"guest-{number}", [channel]) for number in range(count)]
    here = deque(zip(dial(port, heads), heads, strict=True))
    due = time.monotonic()
    while True:
        sock, head = here.popleft()
        hang_up([sock])
        here.append((dial(port, [head])[0], head))
        due = max(due + 1 / rate, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
