"""A cluster whose workers are processes: they can be killed and stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dsock.duration import parse_duration
from tests.faults.support import keys, of_method
from tests.support.cluster import Caller, Cluster, node_up
from tests.support.process import Process, processes
from tests.support.redis_server import RedisServer

LEASE = 5.0
"""Longer than a busy machine holds up anybody who is well."""


@asynccontextmanager
async def cluster_of(
    server: RedisServer, workers: int, **options: str
) -> AsyncIterator[tuple[Cluster, list[Process]]]:
    """An API in this process, and workers that can be killed."""
    given = {"redis_host": server.address, "worker_lease": f"{LEASE}s", **of_method(), **options}
    lease = parse_duration(given["worker_lease"])
    report_timeout = parse_duration(options.get("report_timeout", "2s"))
    at: dict[str, Any] = {"redis_host": server.address, **of_method()}
    api = node_up("api", **at, worker_lease=lease, report_timeout=report_timeout)
    async with api as (node, address), processes(workers, "worker", **given) as started:
        caller = Caller(f"http://{address}")
        async with caller.http:
            addresses = [await one.listening() for one in started]
            yield Cluster("redis", [caller], addresses, [node]), started


def settled_keys(server: RedisServer) -> bool:
    """Whether the claims that were used have been tidied away."""
    return not any(key.startswith("claim") for key in keys(server))
