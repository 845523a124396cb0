"""Who may call, and what becomes of those who try tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.cluster import TOKEN, Cluster, memory_cluster
from tests.support.process import process
from tests.support.wire import dial, request

REFUSED, TOO_OFTEN = (401, "INVALID_AUTHORIZATION"), (429, "TOO_MANY_FAILURES")
TAKEN = (200, "")
GUESSER, BACK_END = "203.0.113.1", "203.0.113.2"


@pytest.fixture
async def node(options: dict[str, Any]) -> AsyncIterator[Cluster]:
    async with memory_cluster(**{"max_token_failures": 3} | options) as cluster:
        yield cluster


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time at the gate."""
    now = [1000.0]
    monkeypatch.setattr("dsock.http.gate.monotonic", lambda: now[0])
    return now


async def call(node: Cluster, token: str, **headers: str) -> tuple[int, str]:
    """What a call with this token is answered."""
    async with dial(node.workers[0]) as wire:
        given = {"authorization": f"Bearer {token}"} if token else {}
        await wire.send(request("GET", "/info?user=42", **given, **headers))
        response = await wire.response()
    if response.status == 429:
        assert response.headers["retry-after"] == "60"
    return response.status, response.json.get("errorCode", "")


async def guess(node: Cluster, times: int, **headers: str) -> list[tuple[int, str]]:
    return [await call(node, f"guess-{number}", **headers) for number in range(times)]


async def test_an_address_that_tries_tokens_is_not_listened_to_for_the_rest_of_a_minute(
    node: Cluster, clock: list[float]
) -> None:
    assert await guess(node, 10) == [*3 * [REFUSED], *7 * [TOO_OFTEN]]
    # Even if it has found the right one: otherwise it could go on trying.
    assert await call(node, TOKEN) == TOO_OFTEN
    clock[0] += 60
    assert await call(node, TOKEN) == TAKEN


async def test_each_wrong_token_of_a_call_counts(node: Cluster, clock: list[float]) -> None:
    async with dial(node.workers[0]) as wire:
        for refusal in (REFUSED, REFUSED, TOO_OFTEN):
            await wire.send(request("GET", "/info?user=42&token=one", authorization="Bearer two"))
            response = await wire.response()
            assert (response.status, response.code) == refusal


async def test_a_back_end_goes_on_whoever_else_guesses_at_its_address(
    node: Cluster, clock: list[float]
) -> None:
    assert await call(node, TOKEN) == TAKEN
    assert await guess(node, 10) == [*3 * [REFUSED], *7 * [TOO_OFTEN]]
    assert await call(node, TOKEN) == TAKEN
    clock[0] += 3599
    await guess(node, 10)
    assert await call(node, TOKEN) == TAKEN


async def test_a_call_without_a_token_is_no_guess(node: Cluster) -> None:
    assert [await call(node, "") for _ in range(10)] == 10 * [REFUSED]
    assert await call(node, TOKEN) == TAKEN


@pytest.mark.parametrize("options", [{"max_token_failures": 0}], ids=[""])
async def test_without_a_limit_everyone_may_guess(node: Cluster) -> None:
    assert await guess(node, 100) == 100 * [REFUSED]
    assert await call(node, TOKEN) == TAKEN


@pytest.mark.parametrize("options", [{"trusted_proxies": ("127.0.0.0/8",)}], ids=[""])
async def test_behind_a_proxy_who_guesses_stops_nobody_else(node: Cluster) -> None:
    assert (await guess(node, 4, x_forwarded_for=GUESSER))[-1] == TOO_OFTEN
    assert await call(node, TOKEN, x_forwarded_for=GUESSER) == TOO_OFTEN
    assert await call(node, TOKEN, x_forwarded_for=BACK_END) == TAKEN


async def test_nobody_gets_another_address_by_saying_so(node: Cluster) -> None:
    answers = [
        await call(node, "guess", x_forwarded_for=f"203.0.113.{number}") for number in range(5)
    ]
    assert answers == [*3 * [REFUSED], *2 * [TOO_OFTEN]]


@pytest.mark.parametrize("options", [{"trusted_proxies": ("127.0.0.1",)}], ids=[""])
async def test_of_a_proxys_connection_each_request_has_an_address_of_its_own(
    node: Cluster,
) -> None:
    answers = []
    async with dial(node.workers[0]) as wire:
        for address in (*4 * [GUESSER], BACK_END):
            # An upgrade that is none is read a second time.
            for upgrade in ({}, {"upgrade": "h2c", "connection": "upgrade"}):
                headers = {"x_forwarded_for": address, "authorization": "Bearer x", **upgrade}
                await wire.send(request("GET", "/info?user=42", **headers))
                answers.append((await wire.response()).code)
    assert answers == [*3 * [REFUSED[1]], *5 * [TOO_OFTEN[1]], *2 * [REFUSED[1]]]


async def test_the_log_names_who_guesses_once_and_never_what() -> None:
    options = {"max_token_failures": "2", "max_connect_failures": "2", "log_requests": "true"}
    # On all interfaces, where IPv4 comes as if it were IPv6.
    options |= {"host": "", "trusted_proxies": "127.0.0.1"}
    async with process("serve", **options) as node:
        address = await node.listening()
        for _ in range(5):
            for path in ("/info?token=canary", "/connect?claim=canary-claim"):
                async with dial(address) as wire:
                    await wire.send(request("GET", path, x_forwarded_for=GUESSER))
                    await wire.response()
        async with dial(address) as wire:
            await wire.send(request("GET", "/ping"))
            await wire.response()
        await node.kill()
    for what in ("tokens", "credentials"):
        [line] = [line for line in node.log if f"too many wrong {what} from one address" in line]
        assert "level=warning" in line
        assert f" client={GUESSER} " in f"{line} "
    requests = [line for line in node.log if "event=request " in line]
    assert sum(f" client={GUESSER} " in line for line in requests) == 10
    assert any("path=/ping" in line and " client=127.0.0.1 " in line for line in requests)
    assert "canary" not in "".join(node.log)
