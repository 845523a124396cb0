"""The node that is attacked: one for the tests of a file, since it must survive them all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.attacks import support
from tests.attacks.support import Bystander, Victim, bystander


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim() -> AsyncIterator[Victim]:
    async with support.victim() as victim:
        yield victim


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def by(victim: Victim) -> AsyncIterator[Bystander]:
    """Somebody else, whom the attacks must not concern."""
    async with bystander(victim, "bystander") as by:
        yield by
