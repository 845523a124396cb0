"""What a Go API tells our workers, and what it reads afterwards."""

from __future__ import annotations

import pytest
from websockets.asyncio.client import connect

from tests.migration.go_api import GoApi
from tests.support.cluster import Cluster, node_up
from tests.support.crowd import MISSING_CLAIM, Client, Crowd
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

END = "end"


async def heard(go: GoApi, *clients: Client) -> list[list[str]]:
    """What each client (all are in channel `all`) has been told until now."""
    go.send(END, channel="all")
    return [await client.until(END) for client in clients]


async def four(crowd: Crowd, go: GoApi) -> list[Client]:
    """Clients of two users, in sessions and channels, on both workers."""
    return [
        await crowd.use(go.claim("u", "s", "all,news"), worker=0),
        await crowd.use(go.claim("u", "t", "all"), worker=1),
        await crowd.use(go.claim("u", "", "all,news"), worker=1),
        await crowd.use(go.claim("other", "s", "all"), worker=0),
    ]


# By selectors, which of the four are told. Go writes every selector that it was given.
TARGETS: list[tuple[dict[str, str], set[int]]] = [
    ({"user": "u"}, {0, 1, 2}),
    ({"user": "u", "session": "s"}, {0}),
    ({"user": "u", "session": "nobody's"}, set()),
    ({"channel": "news"}, {0, 2}),
    ({"channel": "news", "user": "other"}, {0, 2}),
    ({"channel": "news", "user": "u", "session": "t"}, {0, 2}),
    ({"user": "nobody"}, set()),
]


@pytest.mark.parametrize(("target", "receivers"), TARGETS)
async def test_a_go_send_reaches_its_target_and_nobody_else(
    crowd: Crowd, go: GoApi, target: dict[str, str], receivers: set[int]
) -> None:
    clients = await four(crowd, go)
    go.send("hi", **target)
    messages = await heard(go, *clients)
    assert messages == [["hi"] if i in receivers else [] for i in range(4)]


@pytest.mark.parametrize(
    "more", [{}, {"channel": "news"}, {"user": "other"}, {"channel": "all", "user": "u"}]
)
async def test_b39_a_connection_id_of_a_go_send_goes_before_all_else(
    crowd: Crowd, go: GoApi, more: dict[str, str]
) -> None:
    clients = await four(crowd, go)
    [id] = go.info(user="u", session="t").connections
    assert go.send("hi", id=id, **more) == 1
    assert await heard(go, *clients) == [[], ["hi"], [], []]


async def test_text_and_bytes_of_a_go_api_arrive_as_they_are(cluster: Cluster, go: GoApi) -> None:
    bodies: list[str | bytes] = ["text, and \N{SNOWMAN}", b"\x00\xff", "", b"", "x" * 70_000]
    async with connect(cluster.url(f"?claim={go.claim('u')}")) as client:
        for body in bodies:
            go.send(body, user="u")
        assert [await client.recv() for _ in bodies] == bodies


@pytest.mark.parametrize("target", [{"user": "u"}, {"channel": "news"}, {"id": ""}])
async def test_a_go_disconnect_closes_its_target(
    cluster: Cluster, crowd: Crowd, go: GoApi, target: dict[str, str]
) -> None:
    client = await crowd.use(go.claim("u", "s", "news"))
    stays = await crowd.use(go.claim("other", "s", "all"))
    claim = go.claim("u", "s", "news")
    if "id" in target:
        [target["id"]] = go.info(user="u").connections
    go.disconnect(**target)
    assert await client.goodbye() == 1000
    assert await heard(go, stays) == [[]]
    # With an id alone, a Go API finds no claims; neither do we.
    assert (await crowd.attempt(claim) == MISSING_CLAIM) is ("id" not in target)
    assert len((await cluster.api.info(user="other"))["connections"]) == 1


async def test_a_go_disconnect_of_a_session_leaves_the_others(crowd: Crowd, go: GoApi) -> None:
    gone, stays, also, other = await four(crowd, go)
    go.disconnect(user="u", session="s")
    assert await gone.goodbye() == 1000
    assert await heard(go, stays, also, other) == [[], [], []]


async def test_a_go_disconnect_may_keep_the_claims(crowd: Crowd, go: GoApi) -> None:
    client, claim = await crowd.use(go.claim("u")), go.claim("u")
    go.disconnect(user="u", keep_claims="true")
    assert await client.goodbye() == 1000
    await crowd.use(claim)


async def test_a_go_subscribe_and_unsubscribe_count_and_read_right(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    clients = await four(crowd, go)
    go.subscribe("sport", user="u")
    await eventually(lambda: len(go.connections_of({"channel": "sport"})) == 3)
    for id in go.connections_of({"channel": "sport"}):
        [record] = go.info(id=id).connections.values()
        assert "sport" in record["channels"]
    go.send("goal", channel="sport")
    assert await heard(go, *clients) == [["goal"], ["goal"], ["goal"], []]

    go.unsubscribe("sport", channel="news")
    await eventually(lambda: len(go.connections_of({"channel": "sport"})) == 1)
    assert len((await cluster.api.info(channel="sport"))["connections"]) == 1
    go.send("over", channel="sport")
    assert await heard(go, *clients) == [[], ["over"], [], []]


async def test_a_go_subscribe_reaches_every_connection_of_its_target(
    crowd: Crowd, go: GoApi
) -> None:
    # B37: the first of them is in the channel already.
    clients = [await crowd.use(go.claim("u", "", text)) for text in ("all,news", "all", "all")]
    go.subscribe("news", user="u", ignore_claims="true")
    await eventually(lambda: len(go.connections_of({"channel": "news"})) == 3)
    go.send("hi", channel="news")
    assert await heard(go, *clients) == [["hi"]] * 3


async def test_a_go_api_finds_everybody_again_after_redis_was_emptied(
    crowd: Crowd, redis: RedisServer, go: GoApi
) -> None:
    client = await crowd.use(go.claim("u", "s", "news"))
    redis.empty()
    assert go.send("lost", user="u") == 0
    await eventually(lambda: bool(go.workers_of({"channel": "news"})))
    assert go.send("hi", user="u", session="s") == 1
    assert await client.next() == "hi"


async def test_what_a_go_api_tells_needs_no_answer(redis: RedisServer, go: GoApi) -> None:
    async with node_up("worker", redis_host=redis.address) as (_, address):
        async with connect(f"ws://{address}/connect?claim={go.claim('u')}") as client:
            [worker] = go.workers_of({"user": "u"})
            with go.redis.pubsub() as spy:
                spy.psubscribe("*")
                go.send("hi", user="u")
                assert await client.recv() == "hi"
                go.subscribe("news", user="u")
                await eventually(lambda: bool(go.connections_of({"channel": "news"})))
                go.redis.publish(END, END)
                seen = set()
                while (one := spy.get_message(timeout=10)) and one["data"] != END:
                    seen.add(one["channel"])
        # Beside its own probe nothing was published by the worker.
        assert seen - {"*"} == {worker, f"{worker}:channel"}
