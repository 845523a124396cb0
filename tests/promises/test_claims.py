"""Promise 2: a claim admits one client, once."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.support.cluster import Cluster
from tests.support.crowd import MISSING_CLAIM, Client, Crowd
from tests.support.wire import dial, handshake, request

ROUNDS = 10
RIVALS = 50


async def test_b01_of_50_clients_that_race_for_a_claim_one_is_let_in(
    cluster: Cluster, crowd: Crowd
) -> None:
    for round in range(ROUNDS):
        user = f"user-{round}"
        claim = await cluster.apis[round % 2].claim(user, channels="news")
        answers = await asyncio.gather(
            *(crowd.attempt(claim, worker=(n + round) % 2) for n in range(RIVALS))
        )
        assert sum(isinstance(answer, Client) for answer in answers) == 1
        assert answers.count(MISSING_CLAIM) == RIVALS - 1
        info = await cluster.apis[1 - round % 2].info(user=user)
        assert len(info["connections"]) == 1
        assert info["claims"] == []


async def test_losers_of_the_race_receive_nothing_and_are_not_counted(
    cluster: Cluster, crowd: Crowd
) -> None:
    claim = await cluster.api.claim("user", channels="news")
    await asyncio.gather(*(crowd.attempt(claim, worker=n % 2) for n in range(RIVALS)))
    for caller in cluster.apis:
        for target in ({"user": "user"}, {"channel": "news"}):
            assert (await caller.send("hello", **target)).report["connections"] == 1


@pytest.mark.parametrize("worker", [0, 1])
async def test_a_used_claim_is_missing(cluster: Cluster, crowd: Crowd, worker: int) -> None:
    claim = await cluster.api.claim("user")
    await crowd.use(claim, worker=0)
    assert await crowd.attempt(claim, worker) == MISSING_CLAIM


async def test_a_claim_that_is_no_text_is_missing_and_harms_nobody_else(
    cluster: Cluster, crowd: Crowd
) -> None:
    ids = [await cluster.api.claim(f"user-{n}") for n in range(RIVALS)]
    strange = ["%ff", "%ed%a0%80", "a%C3"] * 20
    mixed = itertools.chain.from_iterable(itertools.zip_longest(ids, strange))
    answers = await asyncio.gather(*(crowd.attempt(id) for id in mixed if id))
    assert sum(isinstance(answer, Client) for answer in answers) == len(ids)
    assert answers.count(MISSING_CLAIM) == len(strange)


@pytest.mark.parametrize("options", [{"allowed_origins": ("https://good.test",)}])
@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        (None, (426, "UPGRADE_REQUIRED")),
        ({"sec_websocket_version": "8"}, (400, "INVALID_HANDSHAKE")),
        ({"sec_websocket_key": "short"}, (400, "INVALID_HANDSHAKE")),
        ({"sec_websocket_key": ""}, (400, "INVALID_HANDSHAKE")),
        ({"origin": "https://bad.test"}, (403, "ORIGIN_REFUSED")),
    ],
    ids=["plain", "version", "bad-key", "no-key", "origin"],
)
async def test_b03_a_request_that_fails_anyway_does_not_use_the_claim(
    cluster: Cluster, crowd: Crowd, headers: dict[str, str] | None, refusal: tuple[int, str]
) -> None:
    claim = await cluster.api.claim("user")
    for _ in range(2):
        for address in cluster.workers:
            target = f"/connect?claim={claim}"
            async with dial(address) as wire:
                await wire.send(
                    request("GET", target) if headers is None else handshake(target, **headers)
                )
                response = await wire.response()
            assert (response.status, response.code) == refusal
    assert len((await cluster.apis[1].info(user="user"))["claims"]) == 1
    await crowd.use(claim, worker=1)


async def test_b52_of_50_creations_with_one_id_one_succeeds(cluster: Cluster, crowd: Crowd) -> None:
    replies = await asyncio.gather(
        *(
            cluster.apis[n % 2].call("POST", "/claim", id="the-one-claim", user=f"user-{n}")
            for n in range(50)
        )
    )
    (winner,) = (n for n, reply in enumerate(replies) if reply.status == 200)
    codes = [reply.code for n, reply in enumerate(replies) if n != winner]
    assert codes == ["CLAIM_ID_ALREADY_USED"] * 49
    await crowd.use("the-one-claim", worker=1)
    info = await cluster.api.info(user=f"user-{winner}")
    assert len(info["connections"]) == 1
