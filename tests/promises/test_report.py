"""Promise 6: no false success. What a report says is what happened."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.cluster import Cluster
from tests.support.crowd import Client, Crowd
from tests.support.wire import open_wire

LIMIT = 16 * 1024
LARGE = "x" * (256 * 1024)

COMMANDS = [
    "/send",
    "/channel/subscribe/extra",
    "/channel/subscribe/extra",
    "/channel/unsubscribe/never",
    "/disconnect",
]

BY_TARGET = [
    ({"user": "a"}, 3),
    ({"user": "a", "session": "s"}, 2),
    ({"user": "b", "session": "s"}, 1),
    ({"channel": "news"}, 3),
    ({"channel": "sport"}, 1),
    ({"channel": "sport", "user": "a"}, 1),
    ({"user": "nobody"}, 0),
    ({"user": "a", "session": "t"}, 0),
    ({"channel": "empty"}, 0),
    ({"id": "00000000-0000-0000-0000-000000000000"}, 0),
    ({"id": "nobody", "user": "a"}, 0),
]


async def crowd_of_five(crowd: Crowd) -> list[Client]:
    return [
        await crowd.join("a", 0, session="s", channels="news"),
        await crowd.join("a", 1, session="s"),
        await crowd.join("a", 1, channels="news,sport"),
        await crowd.join("b", 0, session="s", channels="news"),
        await crowd.join("c", 1),
    ]


@pytest.mark.parametrize(("target", "count"), BY_TARGET)
async def test_b69_reports_count_whom_the_target_matches(
    cluster: Cluster, crowd: Crowd, target: dict[str, str], count: int
) -> None:
    await crowd_of_five(crowd)
    for n, path in enumerate(COMMANDS):
        reply = await cluster.apis[n % 2].call("POST", path, "hello", type="binary", **target)
        assert (reply.status, reply.json["success"]) == (200, True)
        assert {**reply.report, "workers": 0} == {
            "workers": 0,
            "connections": count,
            "dropped": 0,
            "unanswered": 0,
        }
    assert (await cluster.api.disconnect(**target)).report["connections"] == 0


async def test_who_is_not_matched_stays_connected(cluster: Cluster, crowd: Crowd) -> None:
    *matched, first, second = await crowd_of_five(crowd)
    assert (await cluster.api.disconnect(user="a")).report["connections"] == 3
    assert [await client.goodbye() for client in matched] == [1000] * 3
    for user in ("b", "c"):
        assert (await cluster.apis[1].send("hello", user=user)).report["connections"] == 1
    assert [await client.next() for client in (first, second)] == ["hello"] * 2


async def test_without_a_report_only_the_workers_are_named(cluster: Cluster, crowd: Crowd) -> None:
    client = await crowd.join("user", worker=1)
    sent = await cluster.apis[1].send("hello", user="user", report="false")
    assert sent.report.keys() == {"workers"}
    assert await client.next() == "hello"


async def test_who_stays_is_counted_whoever_leaves_at_that_moment(
    cluster: Cluster, crowd: Crowd
) -> None:
    for n in range(40):
        clients = [await crowd.join(f"user-{n}", worker) for worker in (0, 1)]
        sent, _ = await asyncio.gather(
            cluster.apis[n % 2].send("hello", user=f"user-{n}"), clients[0].leave()
        )
        assert sent.report["connections"] in (1, 2)
        assert await clients[1].next() == "hello"


@pytest.mark.parametrize("options", [{"send_buffer_limit": LIMIT}])
@pytest.mark.parametrize("worker", [0, 1])
async def test_who_does_not_read_is_reported_as_dropped_and_delays_nobody(
    cluster: Cluster, crowd: Crowd, worker: int
) -> None:
    reader = await crowd.join("reader", worker, channels="news")
    claim = await cluster.api.claim("stalled", channels="news")
    async with open_wire(cluster.workers[worker], f"claim={claim}", 4096):
        taken = 0
        while not (report := (await cluster.api.send(LARGE, channel="news")).report)["dropped"]:
            taken += 1
            assert report["connections"] == 2
            assert taken < 100
            assert await reader.next() == LARGE
        assert (report["connections"], report["dropped"]) == (1, 1)
        assert await reader.next() == LARGE
        after = (await cluster.apis[1].send("after", channel="news")).report
        assert (after["connections"], after["dropped"]) == (1, 0)
        assert await reader.next() == "after"
        assert (await cluster.apis[1].info(user="stalled"))["connections"] == []


@pytest.mark.parametrize("options", [{"send_buffer_limit": LIMIT}])
async def test_b17_who_does_not_read_can_be_disconnected(cluster: Cluster, crowd: Crowd) -> None:
    claim = await cluster.api.claim("stalled")
    async with open_wire(cluster.workers[1], f"claim={claim}", 4096) as wire:
        for _ in range(12):
            await cluster.api.send(LARGE, user="stalled")
        await cluster.api.disconnect(user="stalled")
        assert (await cluster.api.info(user="stalled"))["connections"] == []
        async with asyncio.timeout(5):
            await wire.end()
        assert (await cluster.api.send("hello", user="stalled")).report["connections"] == 0
