"""The floors: servers that do what no server can do without, and nothing else.

Each is a process on the server's core, started with `floor()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.machine import SERVER_CORE
from bench.processes import free_port, module, until_listening


@contextmanager
def floor(name: str) -> Iterator[tuple[int, int]]:
    """The floor `bench.floors.<name>` is up inside this context: its process and its port."""
    port = free_port()
    with module(f"bench.floors.{name}", str(port), core=SERVER_CORE) as process:
        until_listening(process, port)
        yield process.pid, port
