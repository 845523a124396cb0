"""Promise 1: open means reachable."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.cluster import Cluster
from tests.support.crowd import Client, Crowd, after_turns, starts
from tests.support.eventually import eventually

CLIENTS = 200
RACES = 100


@pytest.mark.parametrize("api", [0, 1])
async def test_b07_who_has_a_101_is_reachable_and_shown_at_once(
    cluster: Cluster, crowd: Crowd, api: int
) -> None:
    caller, other = cluster.apis[api], cluster.apis[1 - api]
    for n in range(CLIENTS // 2):
        user, channel = f"user-{n}", f"channel-{n}"
        targets = [{"user": user}, {"user": user, "session": "s"}, {"channel": channel}]
        target = targets[n % 3]
        client = await crowd.join(user, n % 2, n // 2 % 2, session="s", channels=channel)
        sent, info = await asyncio.gather(caller.send(f"hello {n}", **target), other.info(**target))
        assert sent.report["connections"] == 1
        assert [one["user"] for one in info["connections"]] == [user]
        assert await client.next() == f"hello {n}"


async def test_a_send_to_an_id_that_info_shows_arrives(cluster: Cluster, crowd: Crowd) -> None:
    for n in range(20):
        client = await crowd.join(f"user-{n}", worker=n % 2)
        info = await cluster.apis[n % 2].info(user=f"user-{n}")
        (id,) = (one["id"] for one in info["connections"])
        sent = await cluster.apis[n // 2 % 2].send("you", id=id)
        assert sent.report["connections"] == 1
        assert await client.next() == "you"


async def test_who_is_counted_while_connecting_has_the_message(
    cluster: Cluster, crowd: Crowd
) -> None:
    for n in range(RACES):
        user, caller = f"user-{n}", cluster.apis[n % 2]
        claim = await caller.claim(user)
        first, second = starts(n)
        client, sent = await asyncio.gather(
            after_turns(first, crowd.use(claim, worker=n // 2 % 2)),
            after_turns(second, caller.send("early", user=user)),
        )
        await caller.send("fence", user=user)
        got = await client.until("fence")
        assert got in ([], ["early"])
        assert sent.report["connections"] <= len(got)


async def test_who_has_left_is_shown_no_more_and_not_counted(
    cluster: Cluster, crowd: Crowd
) -> None:
    clients = [await crowd.join("user", worker=n % 2, channels="news") for n in range(4)]
    await clients[0].leave()
    await clients[1].leave()

    async def two_are_left() -> bool:
        return len((await cluster.api.info(channel="news"))["connections"]) == 2

    await eventually(two_are_left)
    sent = await cluster.apis[1].send("who is there?", channel="news")
    assert sent.report["connections"] == 2
    assert [await client.next() for client in clients[2:]] == ["who is there?"] * 2


@pytest.mark.parametrize("options", [{"default_channels": ("global",)}])
async def test_b08_everyone_is_reached_once_through_the_default_channels(
    cluster: Cluster, crowd: Crowd
) -> None:
    clients: list[Client] = [
        await crowd.join("a", 0, channels="global,news"),
        await crowd.join("b", 1, channels="news"),
        await crowd.join("c", 0),
    ]
    sent = await cluster.api.send("all", channel="global")
    assert sent.report["connections"] == 3
    await cluster.api.send("fence", channel="global")
    assert [await client.take(2) for client in clients] == [["all", "fence"]] * 3


@pytest.mark.parametrize("size", [1, 15_000, 20_000, 100_000, 2**20])
async def test_a_message_of_any_size_up_to_the_limit_arrives_whole(
    cluster: Cluster, crowd: Crowd, size: int
) -> None:
    client = await crowd.join("user", worker=1)
    for letter in "ab":
        sent = await cluster.apis[1].send(letter * size, user="user")
        assert sent.report["connections"] == 1
        assert await client.next() == letter * size
