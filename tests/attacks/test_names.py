"""Names that read like two others, like a pattern, or like a key: nobody gets another's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import cluster_of
from tests.support.cluster import Cluster
from tests.support.crowd import MISSING_CLAIM, Client, Crowd

Who = tuple[str, str | None]
"""User and session."""

SESSIONS: list[Who] = [
    *[("a", "b-c"), ("a-b", "c"), ("a-b-c", None), ("a", "b"), ("a-", "b-c"), ("a", "-b-c")],
    *[("a", "b:c"), ("a:b", "c"), ("a", ":b"), ("a:", "b"), ("session:a", "b"), ("u", "workers")],
    *[("0", None), ("00", None), ("0", "0"), ("a", ",b"), ("u", " "), ("u", "*")],
]
"""Which Redis keeps in one set: `user-session:a-b-c` is of two."""

USERS = [
    *["u", "u*", "*", "u?", "[u]", "u\\", "^u", "u$", "%", "u%", "_"],
    *["{u}", "u}", "{u", "{}u", "u{}", "{{u}}", "user:u", "claim:u", "conn:u", "workers"],
    *["\u00e9", "e\u0301", "\uff45\u0301", "\u00c9", "\u0435\u0301"],
    *["K", "\u212a", "k", "\ufb01", "fi", "f\u0131", "stra\u00dfe", "strasse"],
    *["x" * 255, "x" * 254, "x" * 254 + "y", "\u00e9" * 127],
    *["u ", " u", "u\u00a0", "u\u200b", "\u202eu", "\ufeffu"],
    *["nil", "None", "null", "a,b", "a/b", "a%2fb", "../a", "a&b=c", "a+b", "a b", "a%20b"],
]

PEOPLE: list[Who] = [*SESSIONS, *((user, None) for user in USERS)]

CHANNELS = [name for name in USERS if "," not in name]

BAD = ["a\nb", "a\rb", "\x00", "a\x7f", "\x85", "x" * 256, "\u00e9" * 128]


@pytest.fixture(params=["redis", "cluster"])
async def cluster(
    request: pytest.FixtureRequest, options: dict[str, Any]
) -> AsyncIterator[Cluster]:
    async with cluster_of(request, options) as cluster:
        yield cluster


def named(who: Who) -> dict[str, str]:
    user, session = who
    return {"user": user} | ({"session": session} if session else {})


def owns(target: Who, other: Who) -> bool:
    """Whether whoever names `target` means `other` too: all sessions of a user."""
    return target == other or (target[1] is None and target[0] == other[0])


async def test_nobody_gets_what_is_for_another(cluster: Cluster, crowd: Crowd) -> None:
    clients: dict[Who, Client] = {}
    for number, who in enumerate(PEOPLE):
        clients[who] = await crowd.use(await cluster.api.claim(**named(who)), number % 2)
    for number, target in enumerate(PEOPLE):
        mine = [who for who in PEOPLE if owns(target, who)]
        info = await cluster.apis[number % 2].info(**named(target))
        found = sorted((one["user"], one.get("session") or "") for one in info["connections"])
        assert found == sorted((user, session or "") for user, session in mine)
        reply = await cluster.apis[number % 2].send(f"for {number}", **named(target))
        assert reply.report["connections"] == len(mine)
        for who in mine:
            assert await clients[who].next() == f"for {number}"
    # Whoever had got more would not be told this first.
    for who, client in clients.items():
        await cluster.api.send("last", id=await id_of(cluster, who))
        assert await client.next() == "last"


async def id_of(cluster: Cluster, who: Who) -> str:
    shown = (await cluster.api.info(**named(who)))["connections"]
    [id] = [one["id"] for one in shown if one.get("session") == who[1]]
    return str(id)


async def test_a_logout_and_a_move_are_of_those_that_were_named(
    cluster: Cluster, crowd: Crowd
) -> None:
    claims = {who: await cluster.api.claim(**named(who)) for who in PEOPLE}
    inside: dict[Who, Client] = {}
    for number, who in enumerate(PEOPLE):
        inside[who] = await crowd.use(await cluster.api.claim(**named(who)), number % 2)
    for target in PEOPLE:
        mine = [who for who in inside if owns(target, who)]
        moved = await cluster.api.subscribe("moved", **named(target))
        assert moved.report["connections"] == len(mine)
        assert (await cluster.api.send("all", channel="moved")).report["connections"] == len(mine)
        out = await cluster.apis[1].disconnect(**named(target))
        assert out.report["connections"] == len(mine)
        for who in mine:
            assert await inside[who].next() == "all"
            assert await inside.pop(who).goodbye() == 1000
            assert await crowd.attempt(claims.pop(who)) == MISSING_CLAIM
        # Who shares nothing but a key with them is still there, and can still come in.
        assert (await cluster.api.info(channel="moved"))["connections"] == []
        for who in list(claims)[:5]:
            shown = await cluster.api.info(**named(who))
            assert claims[who] in [one["id"] for one in shown["claims"]]
            assert any(one.get("session") == who[1] for one in shown["connections"])
    assert not claims


async def test_a_channel_is_no_other_that_reads_like_it(cluster: Cluster, crowd: Crowd) -> None:
    clients = [
        await crowd.join(f"u{number}", number % 2, channels=channel)
        for number, channel in enumerate(CHANNELS)
    ]
    for channel in CHANNELS:
        assert (await cluster.api.send(channel, channel=channel)).report["connections"] == 1
        shown = (await cluster.api.info(channel=channel))["connections"]
        assert [one["channels"] for one in shown] == [[channel]]
    for client, channel in zip(clients, CHANNELS, strict=True):
        assert await client.next() == channel


async def test_a_name_with_a_line_break_or_too_long_is_none(cluster: Cluster) -> None:
    api = cluster.api
    for name in BAD:
        for call in (
            api.call("POST", "/claim", user=name),
            api.call("POST", "/claim", user="u", session=name),
            api.call("POST", "/claim", user="u", channels=name),
            api.send("x", user=name),
            api.disconnect(channel=name),
            api.subscribe(name, user="u"),
            api.call("GET", "/info", id=name),
        ):
            assert (await call).status == 400
