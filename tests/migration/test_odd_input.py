"""What nobody should write to Redis, but somebody can: our workers live, count and drop it."""

from __future__ import annotations

import httpx
import pytest

from tests.migration import protobuf
from tests.migration.go_api import GoApi
from tests.support.cluster import Cluster
from tests.support.crowd import MISSING_CLAIM, Client, Crowd
from tests.support.eventually import eventually

USER = {"user": "u"}
HI = protobuf.message(protobuf.TEXT, b"hi", USER)

MESSAGES = {
    "nothing": b"",
    "without target": protobuf.number(1, protobuf.TEXT) + protobuf.data(2, b"hi"),
    "to nobody": protobuf.message(protobuf.TEXT, b"hi", {}),
    "a session of nobody": protobuf.message(protobuf.TEXT, b"hi", {"session": "s"}),
    "text that is no UTF-8": protobuf.message(protobuf.TEXT, b"\xff\xfe", USER),
    "of no known type": protobuf.message(7, b"hi", USER),
    "of a negative type": protobuf.message(2**64 - 1, b"hi", USER),
    "a user that is no UTF-8": protobuf.number(1, 1)
    + protobuf.nested(3, protobuf.data(2, b"\xff")),
    "cut short": HI[:-1],
    "text": b'{"user": "u", "body": "hi"}',
    "noise": bytes(range(256)),
}
ACTIONS = {
    "nothing": b"",
    "without target": protobuf.data(1, b"news"),
    "to nobody": protobuf.channel_action("news", protobuf.SUBSCRIBE, {}),
    "without a channel": protobuf.channel_action("", protobuf.SUBSCRIBE, USER),
    "a comma": protobuf.channel_action("news,sport", protobuf.SUBSCRIBE, USER),
    "a line break": protobuf.channel_action("news\n", protobuf.SUBSCRIBE, USER),
    "too long": protobuf.channel_action("x" * 256, protobuf.SUBSCRIBE, USER),
    "of no known type": protobuf.channel_action("news", 7, USER),
    "a message": HI,
}


async def unreadable(address: str) -> float:
    """How many payloads a worker has dropped."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://{address}/metrics")).text
    [line] = [
        line for line in text.splitlines() if line.startswith("dsock_unreadable_payloads_total ")
    ]
    return float(line.split()[1])


@pytest.mark.parametrize(
    ("suffix", "payload"),
    [("", payload) for payload in MESSAGES.values()]
    + [(":channel", payload) for payload in ACTIONS.values()],
    ids=[*MESSAGES, *(f"action: {name}" for name in ACTIONS)],
)
async def test_b30_odd_payloads_are_dropped_and_counted(
    cluster: Cluster, crowd: Crowd, go: GoApi, suffix: str, payload: bytes
) -> None:
    client = await crowd.use(go.claim("u", "", "all"))
    [worker] = go.workers_of(USER)
    assert go.redis.publish(f"{worker}{suffix}", payload) == 1
    go.send("after", user="u")
    assert await client.next() == "after"
    # The two channels of a worker are one stream: what came before was read before.
    assert await unreadable(cluster.workers[0]) == 1
    [connection] = (await cluster.api.info(user="u"))["connections"]
    assert connection["channels"] == ["all"]


async def test_odd_fields_in_a_claim_are_read_for_what_they_are_worth(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    claim = go.claim("u")
    go.redis.hset(f"claim:{claim}", mapping={"session": "", "channels": "", "more": "x"})
    await crowd.use(claim)
    assert await crowd.attempt(claim) == MISSING_CLAIM
    [connection] = (await cluster.api.info(user="u"))["connections"]
    assert "session" not in connection
    assert connection["channels"] == []


async def test_ids_of_nobody_in_the_sets_hide_nothing(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    # What a Go worker that crashed has left (B65), and half a record of one.
    go.redis.sadd("user:u", "0", "gone", "half")
    go.redis.sadd("channel:news", "0", "gone", "half")
    go.redis.hset("conn:half", "channels", "news")
    go.redis.sadd("claim-user:u", "gone")
    client = await crowd.use(go.claim("u", "", "news"))
    go.claim("u", "", "news")
    for target in (USER, {"channel": "news"}):
        info = await cluster.api.info(**target)
        assert (len(info["connections"]), len(info["claims"])) == (1, 1)
        assert (await cluster.api.send("hi", **target)).report["connections"] == 1
        assert await client.next() == "hi"


async def test_a_key_of_another_kind_harms_its_own_calls_alone(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    go.redis.set("claim-user:odd", "x")
    go.redis.set("claim:odd-claim", "x")
    assert (await cluster.api.call("GET", "/info", user="odd")).status == 503
    assert not isinstance(await crowd.attempt("odd-claim"), Client)
    await crowd.use(go.claim("u"))
    await eventually(lambda: _answers(cluster))


async def _answers(cluster: Cluster) -> bool:
    return (await cluster.api.disconnect(user="u")).status == 200
