"""A minute of what `make soak` does for an hour, and leaks on purpose, which it finds."""

from __future__ import annotations

import pytest

from tests.soak.planted import PLANTED
from tests.soak.soak import NODE, Effort, Run, broker, soak
from tests.support.redis_server import RedisServer

SHORT = Effort(measure=0.5, warm_up=2.0, load=2.5, rest=4.0)
"""Enough for a leak at each client to show."""

# It takes its time, and more of it on a machine that is busy.
pytestmark = pytest.mark.timeout(400)

ON_REDIS = {"keys"}
"""The leaks that are none on memory."""


async def on(backend: str, effort: Effort, *plant: str) -> Run:
    """Soak a broker on this backend, in which something may be planted."""
    command = (*NODE, *(("--plant", *plant) if plant else ()))
    if backend == "memory":
        async with broker(None, command) as nodes:
            return await soak(nodes, None, effort)
    with RedisServer() as redis:
        async with broker(redis, command) as nodes:
            return await soak(nodes, redis, effort)


@pytest.mark.parametrize("backend", ["memory", "redis"])
async def test_when_everybody_has_left_all_is_as_it_was(backend: str) -> None:
    run = await on(backend, Effort())
    assert run.grown == []
    assert run.calls > 1000
    assert run.guests + run.away == 900
    assert run.refused + run.away < run.guests / 20
    assert run.closed.keys() >= {"client_left", "disconnected", "too_slow"}


@pytest.mark.parametrize("name", PLANTED)
async def test_a_leak_is_found_where_it_is(name: str) -> None:
    run = await on("redis" if name in ON_REDIS else "memory", SHORT, name)
    (grown,) = run.grown
    assert name in {figure.rpartition(" ")[2] for figure in grown}
