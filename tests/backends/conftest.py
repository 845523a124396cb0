"""Every backend, and two workers that are its members."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dsock.backends.base import Backend
from dsock.backends.memory import MemoryBackend
from dsock.backends.redis.backend import RedisBackend
from dsock.events import Event
from dsock.settings import Settings
from tests.conftest import BACKENDS
from tests.support.recorder import Member, member_of
from tests.support.redis_server import RedisServer
from tests.support.together import together


@pytest.fixture(params=BACKENDS)
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """A backend with an API's side and a worker's side."""
    if request.param == "memory":
        yield MemoryBackend()
    else:
        server: RedisServer = request.getfixturevalue("redis")
        settings = Settings(redis_host=server.address)
        async with RedisBackend.open(settings, _ignore, publishes=True) as backend:
            yield backend


@pytest.fixture
async def members(backend: Backend) -> AsyncIterator[list[Member]]:
    """Two workers of the backend."""
    async with together(member_of(backend), member_of(backend)) as members:
        yield members


def _ignore(_: Event) -> None: ...
