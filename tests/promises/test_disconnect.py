"""Promise 4: disconnected means gone."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.cluster import Cluster
from tests.support.crowd import MISSING_CLAIM, Client, Crowd, after_turns, starts

LOGOUTS = 40
RIVALS = 4

TARGETS = [
    {"user": "user-{}"},
    {"user": "user-{}", "session": "session"},
    {"channel": "channel-{}"},
]
by_every_target = pytest.mark.parametrize("target", TARGETS, ids=["user", "session", "channel"])


async def claims_of(cluster: Cluster, n: int, count: int) -> list[str]:
    """Claims that every kind of target of round `n` selects."""
    claimed = {"session": "session", "channels": f"channel-{n},other"}
    return [await cluster.apis[i % 2].claim(f"user-{n}", **claimed) for i in range(count)]


def numbered(target: dict[str, str], n: int) -> dict[str, str]:
    return {name: text.format(n) for name, text in target.items()}


@by_every_target
async def test_b61_nobody_who_connects_during_a_logout_survives_it(
    cluster: Cluster, crowd: Crowd, target: dict[str, str]
) -> None:
    for n in range(LOGOUTS):
        wanted = numbered(target, n)
        spare, *claims = await claims_of(cluster, n, RIVALS + 1)
        early, late = starts(n)
        logout, *answers = await asyncio.gather(
            after_turns(early, cluster.apis[n % 2].disconnect(**wanted)),
            *(
                after_turns(late + (n + i) % 3, crowd.attempt(claim, worker=i % 2))
                for i, claim in enumerate(claims)
            ),
        )
        assert logout.status == 200
        let_in = [answer for answer in answers if isinstance(answer, Client)]
        assert answers.count(MISSING_CLAIM) == RIVALS - len(let_in)
        assert [await client.goodbye() for client in let_in] == [1000] * len(let_in)
        info = await cluster.apis[n // 2 % 2].info(**wanted)
        assert (info["connections"], info["claims"]) == ([], [])
        assert await crowd.attempt(spare, worker=n % 2) == MISSING_CLAIM


@by_every_target
async def test_b61_nobody_is_left_when_the_logout_is_answered(
    cluster: Cluster, crowd: Crowd, target: dict[str, str]
) -> None:
    for n in range(LOGOUTS // 4):
        wanted = numbered(target, n)
        claims = await claims_of(cluster, n, 2 * RIVALS)
        inside = [await crowd.use(claim, worker=i % 2) for i, claim in enumerate(claims[::2])]
        logout = await cluster.apis[n % 2].disconnect(**wanted)
        assert logout.report["connections"] == len(inside)
        info, sent, *answers = await asyncio.gather(
            cluster.apis[n // 2 % 2].info(**wanted),
            cluster.apis[n // 2 % 2].send("anyone?", **wanted),
            *(crowd.attempt(claim, worker=i % 2) for i, claim in enumerate(claims[1::2])),
        )
        assert (info["connections"], info["claims"]) == ([], [])
        assert sent.report["connections"] == 0
        assert answers == [MISSING_CLAIM] * RIVALS
        assert [await client.goodbye() for client in inside] == [1000] * RIVALS


@by_every_target
async def test_claims_that_are_kept_still_admit(
    cluster: Cluster, crowd: Crowd, target: dict[str, str]
) -> None:
    for n in range(LOGOUTS // 4):
        wanted = numbered(target, n)
        kept, *claims = await claims_of(cluster, n, RIVALS + 1)
        early, late = starts(n)
        logout, *_ = await asyncio.gather(
            after_turns(early, cluster.apis[n % 2].disconnect(**wanted, keepClaims="true")),
            *(
                after_turns(late, crowd.attempt(claim, worker=i % 2))
                for i, claim in enumerate(claims)
            ),
        )
        assert logout.status == 200
        info = await cluster.apis[n // 2 % 2].info(**wanted)
        assert kept in [claim["id"] for claim in info["claims"]]
        await crowd.use(kept, worker=n % 2)


@by_every_target
async def test_a_logout_leaves_all_others_alone(
    cluster: Cluster, crowd: Crowd, target: dict[str, str]
) -> None:
    others = [
        await crowd.join("user-10", 0, session="session", channels="channel-10,other"),
        await crowd.join("session", 1, session="user-1", channels="channel-10"),
    ]
    claim = await cluster.api.claim("user-10", session="session", channels="channel-10")
    inside = [await crowd.use(claim) for claim in await claims_of(cluster, 1, 2)]
    logout = await cluster.apis[1].disconnect(**numbered(target, 1))
    assert logout.report["connections"] == 2
    assert [await client.goodbye() for client in inside] == [1000, 1000]
    for user in ("user-10", "session"):
        await cluster.api.send("still here", user=user)
    assert [await client.next() for client in others] == ["still here"] * 2
    await crowd.use(claim, worker=1)


async def test_b60_a_logout_by_id_leaves_the_users_claims_alone(
    cluster: Cluster, crowd: Crowd
) -> None:
    inside = await crowd.join("user", worker=1)
    claim = await cluster.api.claim("user")
    (one,) = (await cluster.api.info(user="user"))["connections"]
    logout = await cluster.apis[1].disconnect(id=one["id"], user="user")
    assert logout.report["connections"] == 1
    assert await inside.goodbye() == 1000
    assert (await cluster.api.info(id=one["id"]))["connections"] == []
    await crowd.use(claim)


async def test_b59_users_and_sessions_whose_names_run_together_are_kept_apart(
    cluster: Cluster, crowd: Crowd
) -> None:
    stays = await crowd.join("a", 0, session="b-c")
    kept = await cluster.api.claim("a", session="b-c")
    goes = await crowd.join("a-b", 1, session="c")
    logout = await cluster.apis[1].disconnect(user="a-b", session="c")
    assert logout.report["connections"] == 1
    assert await goes.goodbye() == 1000
    info = await cluster.apis[1].info(user="a", session="b-c")
    assert [len(info["connections"]), len(info["claims"])] == [1, 1]
    await cluster.api.send("still here", user="a", session="b-c")
    assert await stays.next() == "still here"
    await crowd.use(kept)
