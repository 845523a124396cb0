"""Clients whose worker dies: `python -m bench.generator.storm PORT ANOTHER COUNT`.

They connect to the first port and say `open`. When they are cut off they all connect to the other
one, some hundreds at a time; whoever is refused tries again. At the end they say in how many
seconds all were in, how often one was refused, and how many were refused for good.
"""

from __future__ import annotations

import select
import sys
import time
from collections import deque

from bench.generator.dial import dial, try_dial
from bench.generator.requests import upgrade_as
from bench.machine import raise_file_limit

AT_A_TIME = 512
TRIES = 20
"""After which a client was refused for good."""


def main(port: int, another: int, count: int) -> None:
    raise_file_limit()
    heads = [upgrade_as(f"storm-{number}") for number in range(count)]
    sockets = dial(port, heads)
    print("open", flush=True)
    gone = select.poll()
    gone.register(sockets[0], select.POLLIN)
    gone.poll()
    start = time.perf_counter()
    waiting = deque((head, 1) for head in heads)
    refused, for_good, inside = 0, 0, []
    while waiting:
        group = [waiting.popleft() for _ in range(min(AT_A_TIME, len(waiting)))]
        for sock, (head, tries) in zip(
            try_dial(another, [head for head, _ in group]), group, strict=True
        ):
            if sock:
                inside.append(sock)
            elif tries < TRIES:
                refused += 1
                waiting.append((head, tries + 1))
            else:
                for_good += 1
    print(time.perf_counter() - start, refused, for_good, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
