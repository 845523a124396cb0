"""How many clients a worker lets in, and how often an address may show it a wrong claim."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import jwt
import pytest

from tests.support.cluster import JWT_SECRET, Cluster
from tests.support.eventually import eventually
from tests.support.steps import stepped
from tests.support.wire import Response, dial, handshake

IN = (101, "")
FULL = (503, "TOO_MANY_CONNECTIONS")
FULL_FOR_THE_USER = (429, "TOO_MANY_CONNECTIONS_OF_USER")
TOO_FAST = (503, "TOO_MANY_CONNECTS")
TOO_OFTEN_WRONG = (429, "TOO_MANY_FAILURES")
WRONG = (401, "MISSING_CLAIM")

MANY = 100

backends = pytest.mark.parametrize("cluster", ["memory", "redis"], indirect=True)
memory = pytest.mark.parametrize("cluster", ["memory"], indirect=True)


def limited(**options: Any) -> pytest.MarkDecorator:
    """The cluster has these limits."""
    return pytest.mark.parametrize("options", [options], ids=[""])


def token(user: str) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 3600}, JWT_SECRET)


async def knock(cluster: Cluster, query: str, worker: int = 0, **headers: str) -> Response:
    """The answer to a client that leaves when it has it."""
    async with dial(cluster.workers[worker]) as wire:
        await wire.send(handshake(f"/connect?{query}", **headers))
        return await wire.response()


async def verdict(cluster: Cluster, query: str, worker: int = 0, **headers: str) -> tuple[int, str]:
    response = await knock(cluster, query, worker, **headers)
    return response.status, response.code if response.body else ""


class Queue:
    """Clients that ask to be let in, and stay."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.verdicts: Counter[tuple[int, str]] = Counter()
        self.refused: list[str] = []
        """With what those came that were not let in."""
        self.leave = asyncio.Event()

    async def come(self, query: str) -> None:
        async with dial(self._cluster.workers[0]) as wire:
            await wire.send(handshake(f"/connect?{query}"))
            response = await wire.response()
            answer = response.status, response.code if response.body else ""
            self.verdicts[answer] += 1
            if answer == IN:
                await self.leave.wait()
            else:
                self.refused.append(query)


async def all_at_once(cluster: Cluster, queries: list[str]) -> Queue:
    """What becomes of these clients; those that were let in are gone again."""
    queue = Queue(cluster)
    async with asyncio.TaskGroup() as group:
        for query in queries:
            group.create_task(queue.come(query))
        await eventually(lambda: queue.verdicts.total() == len(queries))
        queue.leave.set()
    return queue


async def claims(cluster: Cluster, users: list[str]) -> list[str]:
    made = await asyncio.gather(*(cluster.api.claim(user) for user in users))
    return [f"claim={claim}" for claim in made]


def asked(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The claims that the worker asks its backend for from now on."""
    admission = cluster.nodes[0].admission
    assert admission
    read, seen = admission.backend.read_claim, []

    async def reading(id: str) -> Any:
        seen.append(id)
        return await read(id)

    monkeypatch.setattr(admission.backend, "read_claim", reading)
    return seen


def stopped(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock for the worker, which goes on when its one figure is changed."""
    now = [1000.0]
    monkeypatch.setattr("dsock.worker.admission.monotonic", lambda: now[0])
    return now


async def empty(cluster: Cluster, worker: int = 0) -> None:
    """Wait until a worker has noticed that its clients have left."""
    at = cluster.nodes[worker].worker
    assert at
    await eventually(lambda: len(at.registry) == 0)


# --- connections -------------------------------------------------------------------------


@backends
@limited(max_connections=3)
async def test_of_many_at_once_one_gets_the_last_place_and_the_claims_of_the_others_stay(
    cluster: Cluster,
) -> None:
    users = [f"user-{number}" for number in range(MANY)]
    async with cluster.client("first"), cluster.client("second"):
        queue = await all_at_once(cluster, await claims(cluster, users))
        assert queue.verdicts == {IN: 1, FULL: MANY - 1}
    await empty(cluster)
    again = await all_at_once(cluster, queue.refused[:3])
    assert again.verdicts == {IN: 3}


@backends
@limited(max_connections_per_user=2)
async def test_of_many_at_once_of_one_user_as_many_come_in_as_one_may_have(
    cluster: Cluster,
) -> None:
    queries = await claims(cluster, ["one"] * MANY + ["another"])
    queue = await all_at_once(cluster, queries)
    assert queue.verdicts == {IN: 3, FULL_FOR_THE_USER: MANY - 2}
    await empty(cluster)
    again = await all_at_once(cluster, queue.refused[:2])
    assert again.verdicts == {IN: 2}


@pytest.mark.parametrize("cluster", ["redis"], indirect=True)
@limited(max_connections=1, max_connections_per_user=1)
async def test_each_worker_has_limits_of_its_own(cluster: Cluster) -> None:
    async with cluster.client("42", worker=0):
        assert await verdict(cluster, f"jwt={token('42')}", 0) == FULL
        assert await verdict(cluster, f"jwt={token('42')}", 1) == IN


@backends
@limited(max_connections=1)
async def test_who_is_being_let_in_has_a_place_and_gives_it_back_when_that_fails(
    cluster: Cluster,
) -> None:
    [doomed] = await claims(cluster, ["doomed"])
    async with stepped(cluster.nodes[0]).held_before("record") as arrived:
        pending = asyncio.create_task(verdict(cluster, doomed))
        await arrived()
        assert await verdict(cluster, f"jwt={token('42')}") == FULL
        leaving = asyncio.create_task(cluster.api.disconnect(user="doomed"))
        worker = cluster.nodes[0].worker
        assert worker
        await eventually(lambda: len(worker.registry) == 0)
    assert await pending == WRONG
    await leaving
    assert await verdict(cluster, f"jwt={token('42')}") == IN


@memory
@limited(max_connections=1)
async def test_a_full_worker_asks_its_backend_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = asked(cluster, monkeypatch)
    async with cluster.client("42"):
        assert len(seen) == 1
        for _ in range(3):
            assert await verdict(cluster, "claim=whatever-it-is") == FULL
        assert len(seen) == 1


@memory
@limited(max_connections=1)
async def test_a_full_worker_says_so_in_its_metrics_and_is_ready_all_the_same(
    cluster: Cluster,
) -> None:
    async with cluster.client("42"):
        await verdict(cluster, f"jwt={token('42')}")
        metrics = (await cluster.api.http.get("/metrics")).text
        assert 'dsock_connects_refused_total{code="TOO_MANY_CONNECTIONS"} 1.0\n' in metrics
        assert (await cluster.api.call("GET", "/ready")).status == 200


# --- in a second -------------------------------------------------------------------------


@backends
@limited(max_connects_per_second=10)
async def test_as_many_come_in_at_once_as_in_a_second_and_the_claims_of_the_others_stay(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = stopped(monkeypatch)
    queries = await claims(cluster, [f"user-{number}" for number in range(MANY)])
    queue = await all_at_once(cluster, queries)
    assert queue.verdicts == {IN: 10, TOO_FAST: MANY - 10}
    refused = await knock(cluster, queue.refused[0])
    assert refused.headers["retry-after"] == "1"
    now[0] += 0.5
    assert (await all_at_once(cluster, queue.refused)).verdicts == {IN: 5, TOO_FAST: MANY - 15}


@memory
@limited(max_connects_per_second=1)
async def test_who_is_wrong_takes_nobodys_turn(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(monkeypatch)
    assert await verdict(cluster, "claim=never-was") == WRONG
    assert await verdict(cluster, f"jwt={token('42')}") == IN
    assert await verdict(cluster, "claim=never-was") == TOO_FAST


# --- wrong claims ------------------------------------------------------------------------


@backends
@limited(max_connect_failures=5)
async def test_no_claim_is_read_for_an_address_that_was_wrong_too_often(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = stopped(monkeypatch)
    [good] = await claims(cluster, ["42"])
    seen = asked(cluster, monkeypatch)
    guesses = [await verdict(cluster, f"claim=guess-{number:04}") for number in range(MANY)]
    assert guesses == [*5 * [WRONG], *(MANY - 5) * [TOO_OFTEN_WRONG]]
    refused = await knock(cluster, good)
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    assert len(seen) == 5
    now[0] += 60
    assert await verdict(cluster, good) == IN


@memory
@limited(max_connect_failures=1)
async def test_a_good_jwt_passes_whoever_else_is_wrong_at_its_address(cluster: Cluster) -> None:
    assert await verdict(cluster, "jwt=wrong") == (401, "INVALID_JWT")
    assert await verdict(cluster, "jwt=wrong") == TOO_OFTEN_WRONG
    assert await verdict(cluster, f"jwt={token('42')}") == IN


@memory
@limited(max_connect_failures=1)
async def test_a_plain_request_is_no_way_around(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = asked(cluster, monkeypatch)
    answers = [await cluster.api.call("GET", "/connect", claim="never-was") for _ in range(3)]
    assert [answer.code for answer in answers] == ["MISSING_CLAIM", *2 * ["TOO_MANY_FAILURES"]]
    assert await verdict(cluster, "claim=never-was") == TOO_OFTEN_WRONG
    assert len(seen) == 1


@memory
@limited(max_connect_failures=1)
async def test_only_a_wrong_credential_is_a_guess(cluster: Cluster) -> None:
    [good] = await claims(cluster, ["42"])
    assert await verdict(cluster, "") == (401, "MISSING_AUTHENTICATION")
    assert await verdict(cluster, good, sec_websocket_version="8") == (400, "INVALID_HANDSHAKE")
    assert await verdict(cluster, f"{good}&{good}") == (400, "REPEATED_CREDENTIALS")
    assert await verdict(cluster, good) == IN


@memory
@limited(max_connect_failures=1, trusted_proxies=("127.0.0.1",))
async def test_behind_a_proxy_each_client_is_wrong_for_itself(cluster: Cluster) -> None:
    claim = await cluster.api.claim("42")
    query, guesser, other = "claim=never-was", "203.0.113.1", "203.0.113.2"
    assert await verdict(cluster, query, x_forwarded_for=guesser) == WRONG
    # What it writes itself stands before what the proxy knows.
    for made_up in ("", "203.0.113.3, ", "10.0.0.1, 127.0.0.1, "):
        told = f"{made_up}{guesser}"
        assert await verdict(cluster, query, x_forwarded_for=told) == TOO_OFTEN_WRONG
    assert await verdict(cluster, f"claim={claim}", x_forwarded_for=other) == IN


@memory
@limited(max_connect_failures=1)
async def test_nobody_gets_another_address_by_saying_so(cluster: Cluster) -> None:
    assert await verdict(cluster, "claim=never-was", x_forwarded_for="203.0.113.1") == WRONG
    later = await verdict(cluster, "claim=never-was", x_forwarded_for="203.0.113.2")
    assert later == TOO_OFTEN_WRONG
