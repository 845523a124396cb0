"""Every backend, and two workers that are its members."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import replace
from typing import Any

import pytest

from dsock.backends.base import Backend
from dsock.backends.memory import MemoryBackend
from dsock.backends.redis.backend import RedisBackend
from dsock.events import Event
from dsock.http.app import application
from dsock.http.rules import Rules
from dsock.http.server import bind, serving
from dsock.settings import Settings
from tests.conftest import BACKENDS, TOPOLOGIES
from tests.support.recorder import Member, member_of
from tests.support.redis_server import Servers
from tests.support.rights import limited_user
from tests.support.together import together


@pytest.fixture(params=[*BACKENDS, *TOPOLOGIES, "limited"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """A backend with an API's side and a worker's side; `limited` may do no more than is
    documented."""
    if request.param == "memory":
        yield MemoryBackend()
        return
    servers = request.getfixturevalue("redis")
    nobody: AbstractContextManager[dict[str, str]] = nullcontext({})
    with limited_user(servers) if request.param == "limited" else nobody as user:
        async with redis_backend(servers, request.param == "direct", **user) as backend:
            yield backend


@asynccontextmanager
async def redis_backend(servers: Servers, direct: bool, **user: Any) -> AsyncIterator[RedisBackend]:
    """A backend; with `direct`, its workers take direct messages on a port of their own."""
    settings, address = Settings(**servers.options, **user, token=("token",)), ""
    async with AsyncExitStack() as stack:
        if direct:
            settings = replace(settings, messaging_method="direct")
            sock = bind("127.0.0.1", 0)
            address = f"127.0.0.1:{sock.getsockname()[1]}"
        opened = RedisBackend.open(settings, _ignore, publishes=True, address=address)
        backend = await stack.enter_async_context(opened)
        if backend.reception:
            app = application(backend.reception.routes(), _ignore)
            await stack.enter_async_context(serving(app, sock, Rules()))
        yield backend


@pytest.fixture
async def members(backend: Backend) -> AsyncIterator[list[Member]]:
    """Two workers of the backend."""
    async with together(member_of(backend), member_of(backend)) as members:
        yield members


def _ignore(_: Event) -> None: ...
