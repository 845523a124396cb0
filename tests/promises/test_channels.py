"""Promise 3: subscribed means subscribed, and unsubscribed the reverse."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.cluster import Cluster
from tests.support.crowd import MISSING_CLAIM, Crowd, after_turns, starts

MOVES = 150
RACES = 200


async def test_b77_a_send_right_after_subscribing_arrives(cluster: Cluster, crowd: Crowd) -> None:
    clients = [await crowd.join("user", worker) for worker in (0, 1)]
    for n in range(MOVES):
        channel, caller, other = f"channel-{n}", cluster.apis[n % 2], cluster.apis[n // 2 % 2]
        moved = await caller.subscribe(channel, user="user")
        assert (moved.status, moved.report["connections"]) == (200, 2)
        sent, info = await asyncio.gather(
            other.send(f"in {n}", channel=channel), other.info(channel=channel)
        )
        assert sent.report["connections"] == 2
        assert [one["channels"][-1] for one in info["connections"]] == [channel] * 2
        assert [await client.next() for client in clients] == [f"in {n}"] * 2


async def test_a_send_right_after_unsubscribing_does_not_arrive(
    cluster: Cluster, crowd: Crowd
) -> None:
    channels = [f"channel-{n}" for n in range(MOVES)]
    clients = [await crowd.join("user", w, channels=",".join(channels)) for w in (0, 1)]
    for n, channel in enumerate(channels):
        caller, other = cluster.apis[n % 2], cluster.apis[n // 2 % 2]
        moved = await caller.unsubscribe(channel, user="user")
        assert (moved.status, moved.report["connections"]) == (200, 2)
        sent, info = await asyncio.gather(
            other.send(f"in {n}", channel=channel), other.info(channel=channel)
        )
        assert sent.report["connections"] == 0
        assert info["connections"] == []
    await cluster.api.send("fence", user="user")
    assert [await client.next() for client in clients] == ["fence"] * 2


@pytest.mark.parametrize(
    ("verb", "claimed", "left"),
    [("subscribe", "old", ["old", "{}"]), ("unsubscribe", "old,{}", ["old"])],
)
async def test_b77_a_move_that_races_a_connect_is_not_lost(
    cluster: Cluster, crowd: Crowd, verb: str, claimed: str, left: list[str]
) -> None:
    for n in range(RACES):
        user, channel = f"user-{n}", f"channel-{n}"
        caller, other = cluster.apis[n % 2], cluster.apis[n // 2 % 2]
        claim = await caller.claim(user, channels=claimed.format(channel))
        early, late = starts(n)
        client, moved = await asyncio.gather(
            after_turns(early, crowd.use(claim, worker=n // 2 % 2)),
            after_turns(late, getattr(caller, verb)(channel, user=user)),
        )
        assert moved.status == 200
        info = await other.info(user=user)
        assert [one["channels"] for one in info["connections"]] == [
            [name.format(channel) for name in left]
        ]
        assert info["claims"] == []
        sent = await other.send("news", channel=channel)
        assert sent.report["connections"] == (verb == "subscribe")
        await other.send("fence", user=user)
        assert await client.until("fence") == ["news"] * (verb == "subscribe")


async def test_b76_a_subscribe_that_races_a_connect_does_not_revive_the_claim(
    cluster: Cluster, crowd: Crowd
) -> None:
    for n in range(RACES // 4):
        user, caller = f"user-{n}", cluster.apis[n % 2]
        claim = await caller.claim(user)
        early, late = starts(n)
        await asyncio.gather(
            after_turns(early, crowd.use(claim, worker=n // 2 % 2)),
            after_turns(late, caller.subscribe("news", user=user)),
        )
        assert await crowd.attempt(claim, worker=n % 2) == MISSING_CLAIM


@pytest.mark.parametrize("connected", [True, False], ids=["connection", "claim"])
async def test_b38_no_one_of_100_concurrent_subscribes_is_lost(
    cluster: Cluster, crowd: Crowd, connected: bool
) -> None:
    channels = [f"channel-{n}" for n in range(100)]
    claim = await cluster.api.claim("user")
    if connected:
        await crowd.use(claim)
    moves = await asyncio.gather(
        *(cluster.apis[n % 2].subscribe(name, user="user") for n, name in enumerate(channels))
    )
    assert {move.status for move in moves} == {200}
    info = await cluster.apis[1].info(user="user")
    (one,) = info["connections"] + info["claims"]
    assert sorted(one["channels"]) == sorted(channels)


async def test_b37_one_that_is_subscribed_already_does_not_keep_out_the_others(
    cluster: Cluster, crowd: Crowd
) -> None:
    clients = [await crowd.join("user", channels="news")]
    clients += [await crowd.join("user", worker) for worker in (0, 1, 1)]
    assert (await cluster.api.subscribe("news", user="user")).report["connections"] == 4
    assert (await cluster.apis[1].send("all", channel="news")).report["connections"] == 4
    assert [await client.next() for client in clients] == ["all"] * 4


@pytest.mark.parametrize("ignored", [False, True])
async def test_claims_move_too_unless_they_are_ignored(
    cluster: Cluster, crowd: Crowd, ignored: bool
) -> None:
    claim = await cluster.api.claim("user", channels="old")
    flag = {"ignoreClaims": "true"} if ignored else {}
    await cluster.api.subscribe("new", user="user", **flag)
    await cluster.apis[1].unsubscribe("old", user="user", **flag)
    await crowd.use(claim, worker=1)
    info = await cluster.apis[1].info(user="user")
    assert info["connections"][0]["channels"] == (["old"] if ignored else ["new"])


async def test_a_channel_can_be_emptied_by_its_own_name(cluster: Cluster, crowd: Crowd) -> None:
    clients = [await crowd.join("user", worker, channels="news,all") for worker in (0, 1, 1)]
    stays = await crowd.join("other", channels="all")
    claim = await cluster.api.claim("user", channels="news,all")
    path = "/channel/unsubscribe/news"
    left = await cluster.apis[1].call("POST", path, channel="news")
    assert (left.status, left.report["connections"]) == (200, 3)
    info = await cluster.api.info(channel="news")
    assert (info["connections"], info["claims"]) == ([], [])
    assert (await cluster.api.send("to nobody", channel="news")).report["connections"] == 0
    clients.append(await crowd.use(claim, worker=1))
    assert (await cluster.api.send("to all", channel="all")).report["connections"] == 5
    assert [await client.next() for client in [*clients, stays]] == ["to all"] * 5
