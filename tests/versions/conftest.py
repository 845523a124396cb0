"""Clusters whose nodes are not all of the same version, as processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import NamedTuple

import pytest
import pytest_asyncio

from dsock.node import Role
from tests.support.cluster import TOKEN, Caller, Cluster
from tests.support.crowd import Crowd, crowd_at
from tests.support.eventually import eventually
from tests.support.process import Process, process
from tests.support.redis_server import RedisServer
from tests.versions.last import Version, Versions

LEASE = 7.0
"""Longer than a call waits, a busy machine holds somebody up, and a beat on top."""


class Mixture(NamedTuple):
    apis: tuple[Version, Version]
    workers: tuple[Version, Version]
    method: str

    def __str__(self) -> str:
        return f"{'+'.join(self.workers)} workers, {'+'.join(self.apis)} APIs, {self.method}"


def _mixtures(apis: tuple[Version, Version], workers: tuple[Version, Version]) -> list[Mixture]:
    return [Mixture(apis, workers, method) for method in ("redis", "direct")]


APART = _mixtures(("last", "last"), ("this", "this")) + _mixtures(
    ("this", "this"), ("last", "last")
)
"""The halves of the cluster are of different versions."""

ALIKE = _mixtures(("last", "last"), ("last", "last")) + _mixtures(
    ("this", "this"), ("this", "this")
)
"""All are of one version: for what they make of a stranger."""

MIXTURES = APART + _mixtures(("last", "this"), ("this", "last"))
"""And in the end a cluster that has some of each of everything, as in the middle of an upgrade."""


class Mixed(NamedTuple):
    cluster: Cluster
    another_worker: Callable[[], AbstractAsyncContextManager[Process]]
    """Starts one more, of the version that the first is not."""


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    return Versions(tmp_path_factory.mktemp("last"))


@pytest.fixture(scope="module")
def patience() -> dict[str, str]:
    """For how long the nodes of a module wait, if not for as long as by default."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MIXTURES, ids=str)
async def mixed(
    request: pytest.FixtureRequest,
    versions: Versions,
    redis_session: RedisServer,
    patience: dict[str, str],
) -> AsyncIterator[Mixed]:
    """Two APIs and two workers, which stay up for all tests of a module."""
    mixture: Mixture = request.param
    stranger: Version = "last" if mixture.workers[0] == "this" else "this"
    redis_session.empty()
    options = {
        "redis_host": redis_session.address,
        "token": TOKEN,
        "messaging_method": mixture.method,
        "direct_message_hostname": "127.0.0.1",
        "worker_lease": f"{LEASE}s",
        "drain_duration": "500ms",
        **patience,
    }

    def started(role: Role, version: Version) -> AbstractAsyncContextManager[Process]:
        return process(role, command=versions.command(version), **options)

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        workers = [await enter(started("worker", version)) for version in mixture.workers]
        apis = [await enter(started("api", version)) for version in mixture.apis]
        callers = [Caller(f"http://{await one.listening()}") for one in apis]
        for caller in callers:
            await enter(caller.http)
        addresses = [await one.listening() for one in workers]
        cluster = Cluster(mixture.method, callers, addresses, [])
        yield Mixed(cluster, lambda: started("worker", stranger))


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(mixed: Mixed) -> Cluster:
    return mixed.cluster


@pytest_asyncio.fixture(loop_scope="module")
async def crowd(mixed: Mixed, redis_session: RedisServer) -> AsyncIterator[Crowd]:
    """Its clients. After the test it is as before: nobody is connected, and no claim is left."""
    async with crowd_at(mixed.cluster) as crowd:
        yield crowd
    with redis_session.client() as redis:
        await eventually(lambda: not redis.keys("conn:*"))
        for key in redis.scan_iter("claim*"):
            redis.delete(key)
