"""A client's machine goes off: nothing of it comes any more, not even an end."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_numbers = itertools.count()


@contextmanager
def vanished(port: int) -> Iterator[None]:
    """Inside this context every packet from and to this local TCP port is lost, so neither
    side hears whether the other has hung up. Needs root and nftables."""
    table = f"inet dsock_{os.getpid()}_{next(_numbers)}"
    _nft(
        f"add table {table}",
        f"add chain {table} in {{ type filter hook input priority 0; }}",
        f"add rule {table} in tcp sport {port} counter drop",
        f"add rule {table} in tcp dport {port} counter drop",
    )
    try:
        yield
    finally:
        _nft(f"delete table {table}")


def _nft(*lines: str) -> None:
    subprocess.run(["nft", "-f", "-"], input="\n".join(lines), text=True, check=True)
