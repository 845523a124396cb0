"""Both kinds of API in one cluster: each sees and reaches what the other does."""

from __future__ import annotations

from redis import Redis
from redis.client import PubSub

from tests.migration import protobuf
from tests.migration.go_api import GoApi, go_parse
from tests.support.cluster import Cluster
from tests.support.crowd import Crowd
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

GO_KEYS = {"claim", "claim-user", "claim-user-session", "claim-channel", "conn", "worker",
           "user", "user-session", "channel"}  # fmt: skip
OUR_KEYS = {"user-workers", "channel-workers", "workers", "worker-records", "reaped"}


async def test_both_reach_all_clients(cluster: Cluster, crowd: Crowd, go: GoApi) -> None:
    clients = [
        await crowd.use(go.claim("a", "", "news"), worker=0),
        await crowd.use(await cluster.api.claim("b", channels="news"), worker=0),
        await crowd.use(go.claim("c", "", "news"), worker=1),
        await crowd.use(await cluster.api.claim("d", channels="news"), worker=1),
    ]
    assert go.send("from go", channel="news") == 2
    for client in clients:
        assert await client.next() == "from go"
    report = (await cluster.api.send("from us", channel="news")).report
    assert report == {"workers": 2, "connections": 4, "dropped": 0, "unanswered": 0}
    for client in clients:
        assert await client.next() == "from us"


async def test_both_see_the_same(cluster: Cluster, crowd: Crowd, go: GoApi) -> None:
    await crowd.use(go.claim("u", "s", "news"), worker=0)
    await crowd.use(await cluster.api.claim("u", session="t"), worker=1)
    ours = {one["id"]: one for one in (await cluster.api.info(user="u"))["connections"]}
    theirs = go.info(user="u").connections
    assert ours.keys() == theirs.keys()
    for id, one in ours.items():
        read = theirs[id]
        assert (read["user"], read["session"], read["workerId"], read["lastPing"]) == (
            one["user"], one["session"], one["worker"], one["lastPing"])  # fmt: skip
        assert [name for name in read["channels"] if name] == one["channels"]
        beat = go.redis.hgetall(f"worker:{one['worker']}")
        assert go_parse(beat.pop("lastPing")) > 0
        assert beat == {}


async def test_who_was_subscribed_by_one_is_unsubscribed_by_the_other(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    await crowd.use(go.claim("u"))
    assert (await cluster.api.subscribe("news", user="u")).report["connections"] == 1
    assert len(go.connections_of({"channel": "news"})) == 1
    go.unsubscribe("news", channel="news")
    await eventually(lambda: not go.connections_of({"channel": "news"}))
    go.subscribe("sport", user="u")
    await eventually(lambda: bool(go.connections_of({"channel": "sport"})))
    assert (await cluster.api.unsubscribe("sport", user="u")).report["connections"] == 1
    assert not go.connections_of({"channel": "sport"})


async def test_our_disconnect_is_seen_by_a_go_api_at_once(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    client = await crowd.use(go.claim("u", "s", "news"))
    assert (await cluster.api.disconnect(user="u")).report["connections"] == 1
    assert await client.goodbye() == 1000
    for target in ({"user": "u"}, {"channel": "news"}):
        assert go.info(**target) == ({}, {})
        assert go.workers_of(target) == set()


async def test_a_go_api_finds_the_lives_of_keys_that_it_expects(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    await crowd.use(go.claim("u", "s", "news"))
    [worker] = go.workers_of({"user": "u"})
    [id] = go.connections_of({"user": "u"})
    assert [go.redis.ttl(key) for key in ("user:u", "user-session:u-s", "channel:news")] == [-1] * 3
    assert go.redis.ttl(f"conn:{id}") > go.redis.ttl(f"worker:{worker}") > 0


async def test_no_key_of_ours_is_one_of_a_go_api(cluster: Cluster, crowd: Crowd, go: GoApi) -> None:
    await crowd.use(go.claim("workers", "workers", "workers"))
    await cluster.api.claim("replies", session="reaped", channels="channel")
    families = {key.partition(":")[0] for key in go.redis.keys("*")}
    assert families >= GO_KEYS
    assert families - GO_KEYS <= OUR_KEYS
    for family in families & GO_KEYS:
        kinds = {go.redis.type(key) for key in go.redis.keys(f"{family}:*")}
        assert kinds == {"hash" if family in ("claim", "conn", "worker") else "set"}


async def test_what_our_api_publishes_reads_by_the_documented_numbers(
    cluster: Cluster, crowd: Crowd, go: GoApi, redis: RedisServer
) -> None:
    await crowd.use(go.claim("u", "s"))
    [worker] = go.workers_of({"user": "u"})
    with Redis(port=redis.port) as client, client.pubsub() as spy:
        spy.subscribe(worker, f"{worker}:channel")
        await cluster.api.send("hi", user="u", session="s")
        await cluster.api.subscribe("news", user="u", session="s")
        sent, action = commands(spy)
    target = protobuf.target_of({"user": "u", "session": "s"})
    assert documented(sent) == {1: protobuf.TEXT, 2: b"hi", 3: target}
    # Subscribe is zero, which is not written.
    assert documented(action) == {1: b"news", 2: target}


def commands(spy: PubSub) -> list[dict[int, int | bytes]]:
    """What was published, but for probes, until both kinds of command have come."""
    found: list[dict[int, int | bytes]] = []
    while len(found) < 2:
        one = spy.get_message(ignore_subscribe_messages=True, timeout=10)
        if one and (fields := protobuf.read(one["data"])).keys() != {19}:
            found.append(fields)
    return found


def documented(fields: dict[int, int | bytes]) -> dict[int, int | bytes]:
    """The fields that a Go dSock knows; all others have numbers that it does not."""
    assert not any(3 < number < 15 for number in fields)
    return {number: value for number, value in fields.items() if number <= 3}
