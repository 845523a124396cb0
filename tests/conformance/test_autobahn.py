"""The Autobahn TestSuite against the product's connection: `make conformance` asks all cases."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dsock.worker.connection import Connection
from tests.conformance import autobahn
from tests.conformance.autobahn import EVERY_CASE, GROUPS, OK, QUICK_CASES, verdicts
from tests.conformance.echo import EchoWorker, echo
from tests.conformance.known import KNOWN

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judged() -> AsyncIterator[dict[str, str]]:
    async with echo() as url:
        yield await verdicts(url, QUICK_CASES)


async def test_every_case_is_judged(judged: dict[str, str]) -> None:
    assert list(judged) == QUICK_CASES
    assert {id.partition(".")[0] for id in judged} == set(GROUPS)


async def test_no_case_fails_that_is_not_known(judged: dict[str, str]) -> None:
    unknown = {id: verdict for id, verdict in judged.items() if verdict != OK and id not in KNOWN}
    assert unknown == {}


@pytest.mark.parametrize("id", KNOWN)
async def test_no_case_is_known_in_vain(judged: dict[str, str], id: str) -> None:
    assert judged[id] == KNOWN[id].verdict


async def test_no_case_is_left_out() -> None:
    assert len(EVERY_CASE) == 517


async def test_a_worker_that_echoes_something_else_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    received = EchoWorker.received

    def other(worker: EchoWorker, connection: Connection, message: str | bytes) -> None:
        received(worker, connection, message.encode() if isinstance(message, str) else message)

    monkeypatch.setattr(EchoWorker, "received", other)
    # What never comes is waited for.
    monkeypatch.setattr(autobahn, "PATIENCE", 3.0)
    async with echo() as url:
        found = await verdicts(url, ["1.1.2", "1.2.2"])
    assert found == {"1.1.2": "FAILED", "1.2.2": OK}
