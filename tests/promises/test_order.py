"""Promise 5: at most once, in order, to nobody else."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.cluster import Cluster
from tests.support.crowd import Client, Crowd

SENDS = 1500
CONCURRENT = 200


async def fans(crowd: Crowd, count: int) -> list[Client]:
    """Clients of one user in one channel, half of them on each worker."""
    return [await crowd.join("user", n % 2, channels="news") for n in range(count)]


@pytest.mark.parametrize("report", ["true", "false"])
async def test_b19_sends_made_one_after_the_other_arrive_in_that_order(
    cluster: Cluster, crowd: Crowd, report: str
) -> None:
    clients = await fans(crowd, 4)
    targets = [{"user": "user"}, {"channel": "news"}]
    for n in range(SENDS):
        await cluster.api.send(str(n), report=report, **targets[n % 2])
    expected = [str(n) for n in range(SENDS)]
    for client in clients:
        assert await client.take(SENDS) == expected


async def test_sends_through_both_api_nodes_in_turn_keep_their_order(
    cluster: Cluster, crowd: Crowd
) -> None:
    clients = await fans(crowd, 2)
    for n in range(300):
        await cluster.apis[n % 2].send(str(n), channel="news")
    for client in clients:
        assert await client.take(300) == [str(n) for n in range(300)]


async def test_concurrent_sends_arrive_in_one_order_at_all_receivers_of_a_worker(
    cluster: Cluster, crowd: Crowd
) -> None:
    clients = await fans(crowd, 6)
    await asyncio.gather(
        *(cluster.apis[n % 2].send(str(n), channel="news") for n in range(CONCURRENT))
    )
    await cluster.api.send("fence", channel="news")
    got = [await client.until("fence") for client in clients]
    assert got[0] == got[2] == got[4]
    assert got[1] == got[3] == got[5]
    for messages in got[:2]:
        assert sorted(messages, key=int) == [str(n) for n in range(CONCURRENT)]


async def test_commands_of_both_kinds_keep_their_order(cluster: Cluster, crowd: Crowd) -> None:
    clients = await fans(crowd, 2)
    # Without a report, direct messages keep the order of one API only (docs/guarantees.md).
    nodes = 1 if cluster.backend == "direct" else 2
    for n in range(50):
        caller = cluster.apis[n % nodes]
        await caller.subscribe("sport", user="user")
        await caller.send(f"goal {n}", channel="sport", report="false")
        await caller.unsubscribe("sport", user="user")
        await caller.send(f"missed {n}", channel="sport", report="false")
    await cluster.apis[0].send("fence", user="user")
    for client in clients:
        assert await client.until("fence") == [f"goal {n}" for n in range(50)]


@pytest.mark.parametrize(
    "target",
    [
        {"channel": "news"},
        {"channel": "sport"},
        {"user": "user"},
        {"user": "user", "session": "s"},
        {"channel": "news", "user": "user", "session": "s"},
    ],
)
async def test_nobody_gets_a_copy_twice_however_channels_overlap(
    cluster: Cluster, crowd: Crowd, target: dict[str, str]
) -> None:
    clients = [
        await crowd.join("user", n % 2, session="s", channels="news,sport,news") for n in range(4)
    ]
    for again in ("news", "sport"):
        await cluster.apis[1].subscribe(again, user="user")
    sent = await cluster.api.send("once", **target)
    assert sent.report["connections"] == 4
    await cluster.api.send("fence", **target)
    assert [await client.until("fence") for client in clients] == [["once"]] * 4


async def test_b39_nobody_else_receives_it(cluster: Cluster, crowd: Crowd) -> None:
    bystanders = [
        await crowd.join("user", 0),
        await crowd.join("use", 1, session="s", channels="new"),
        await crowd.join("news", 0, session="user", channels="newsroom"),
        await crowd.join("user", 1, session="t", channels="n*,sport"),
    ]
    receiver = await crowd.join("user", 1, session="s", channels="news")
    for caller in cluster.apis:
        await caller.send("yours", user="user", session="s")
        await caller.send("yours", channel="news", user="use", session="t")
    for name in ("user", "use", "news"):
        await cluster.api.send("fence", user=name)
    assert [await client.next() for client in bystanders] == ["fence"] * 4
    assert await receiver.until("fence") == ["yours"] * 4
