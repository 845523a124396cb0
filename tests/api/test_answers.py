"""What calls answer when nothing is wrong: reports, connections and claims."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.cluster import Cluster, memory_cluster

NOBODY = {"workers": 0, "connections": 0, "dropped": 0, "unanswered": 0}
COMMANDS = ["/send", "/disconnect", "/channel/subscribe/news", "/channel/unsubscribe/news"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Cluster]:
    """One node for all; every test has users and channels of its own."""
    async with memory_cluster() as cluster:
        yield cluster


# --- reports -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", COMMANDS)
@pytest.mark.parametrize("target", ["id", "channel", "user"])
async def test_b69_a_command_that_reaches_nobody_says_so(
    node: Cluster, path: str, target: str
) -> None:
    reply = await node.api.call("POST", path, type="text", **{target: "nobody"})
    assert (reply.status, reply.json) == (200, {"success": True, "report": NOBODY})
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", COMMANDS)
async def test_b69_a_command_says_how_many_it_reached(node: Cluster, path: str) -> None:
    user = f"r1{path}"
    async with node.client(user, session="a"), node.client(user, session="b"), node.client("r0"):
        reply = await node.api.call("POST", path, type="text", user=user)
        assert reply.report == NOBODY | {"workers": 1, "connections": 2}


async def test_of_a_session_only_its_own_connections_are_counted(node: Cluster) -> None:
    async with node.client("r2", session="a") as client, node.client("r2", session="b"):
        assert (await node.api.send("x", user="r2", session="a")).report["connections"] == 1
        assert await client.recv() == "x"
        assert (await node.api.disconnect(user="r2", session="a")).report["connections"] == 1


async def test_matched_counts_whether_or_not_anything_changed(node: Cluster) -> None:
    async with node.client("r3", channels="r3-news"):
        assert (await node.api.subscribe("r3-news", user="r3")).report["connections"] == 1
        assert (await node.api.unsubscribe("r3-other", user="r3")).report["connections"] == 1


async def test_a_send_need_not_wait_for_its_report(node: Cluster) -> None:
    async with node.client("r4") as client:
        reply = await node.api.send("x", user="r4", report="false")
        assert reply.json == {"success": True, "report": {"workers": 1}}
        assert await client.recv() == "x"


@pytest.mark.parametrize("value", ["true", "", "0", "False", "no"])
async def test_a_report_is_left_out_only_for_false(node: Cluster, value: str) -> None:
    assert (await node.api.send("x", user="nobody", report=value)).report == NOBODY


# --- messages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "body", "received"),
    [
        ("text", "Zoë \N{FOX FACE}".encode(), "Zoë \N{FOX FACE}"),
        ("1", b"x", "x"),
        ("text", b"", ""),
        ("text", b"\x00", "\x00"),
        ("binary", b"\xff\x00", b"\xff\x00"),
        ("2", b"x", b"x"),
        ("binary", b"", b""),
        ("text", b"x" * 2**20, "x" * 2**20),
    ],
    ids=["text", "1", "empty", "nul", "binary", "2", "empty-binary", "largest"],
)
async def test_a_message_arrives_as_it_was_sent(
    node: Cluster, type: str, body: bytes, received: str | bytes
) -> None:
    async with node.client("m1") as client:
        assert (await node.api.send(body, type, user="m1")).report["connections"] == 1
        assert await client.recv() == received


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data", "nonsense", ""]
)
async def test_what_the_caller_calls_a_body_does_not_matter(
    node: Cluster, content_type: str
) -> None:
    async with node.client("m5") as client:
        for type in ("text", "binary"):
            await node.api.http.post(
                f"/send?user=m5&type={type}",
                content=b"user=m2&type=x",
                headers={"content-type": content_type},
            )
        assert [await client.recv(), await client.recv()] == ["user=m2&type=x", b"user=m2&type=x"]


@pytest.mark.parametrize("type", ["", "3", "0", "Text", "json", "text,binary", "01", "x" * 5000])
async def test_a_message_has_one_of_two_types(node: Cluster, type: str) -> None:
    reply = await node.api.send("x", type, user="m2")
    assert (reply.status, reply.code) == (400, "INVALID_MESSAGE_TYPE")


async def test_a_message_without_a_type_is_refused(node: Cluster) -> None:
    reply = await node.api.call("POST", "/send", "x", user="m2")
    assert (reply.status, reply.code) == (400, "INVALID_MESSAGE_TYPE")


@pytest.mark.parametrize("body", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"ok\xc0\x80"])
async def test_b75_text_that_is_no_utf8_is_sent_to_nobody(node: Cluster, body: bytes) -> None:
    async with node.client("m3") as client:
        reply = await node.api.send(body, user="m3")
        assert (reply.status, reply.code) == (400, "INVALID_MESSAGE_TYPE")
        await node.api.send("only this", user="m3")
        assert await client.recv() == "only this"


async def test_a_message_above_the_limit_is_sent_to_nobody(node: Cluster) -> None:
    async with node.client("m4") as client:
        reply = await node.api.send(b"x" * (2**20 + 1), user="m4")
        assert (reply.status, reply.code) == (413, "MESSAGE_TOO_LARGE")
        await node.api.send("only this", user="m4")
        assert await client.recv() == "only this"


# --- /info -------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["id", "channel", "user"])
async def test_b63_b66_nothing_found_is_two_empty_lists(node: Cluster, target: str) -> None:
    assert await node.api.info(**{target: "nobody"}) == {
        "success": True,
        "connections": [],
        "claims": [],
    }


async def test_a_connection_is_shown_with_all_that_is_known(node: Cluster) -> None:
    async with node.client("i1", session="s", channels="b,a"):
        (one,) = (await node.api.info(user="i1"))["connections"]
        assert abs(one.pop("lastPing") - time.time()) < 5
        assert one.pop("id") != one.pop("worker")
        assert one == {"user": "i1", "session": "s", "channels": ["b", "a"]}


async def test_b67_absent_fields_are_left_out_and_no_channels_are_a_list(node: Cluster) -> None:
    async with node.client("i2"):
        (one,) = (await node.api.info(user="i2"))["connections"]
        assert set(one) == {"id", "worker", "lastPing", "user", "channels"}
        assert one["channels"] == []


async def test_claims_are_shown_with_their_channels_in_order(node: Cluster) -> None:
    id = await node.api.claim("i3", session="s", channels="b,a", duration=100)
    await node.api.subscribe("c", user="i3")
    (claim,) = (await node.api.info(user="i3"))["claims"]
    assert claim.pop("expiration") > time.time() + 90
    assert claim == {"id": id, "user": "i3", "session": "s", "channels": ["b", "a", "c"]}
    assert (await node.api.info(channel="c"))["claims"][0]["id"] == id


async def test_b64_info_of_a_session_shows_only_that_session(node: Cluster) -> None:
    async with node.client("i4", session="a"), node.client("i4", session="b"):
        kept = await node.api.claim("i4", session="a")
        await node.api.claim("i4", session="b")
        info = await node.api.info(user="i4", session="a")
        assert [one["session"] for one in info["connections"]] == ["a"]
        assert [claim["id"] for claim in info["claims"]] == [kept]


# --- flags -------------------------------------------------------------------------------

FALSE = ["", "1", "True", "TRUE", "yes", "false", "on", " true"]


@pytest.mark.parametrize(("value", "kept"), [("true", 1), *((value, 0) for value in FALSE)])
async def test_claims_are_kept_only_for_true(node: Cluster, value: str, kept: int) -> None:
    user = f"f1-{value}"
    await node.api.claim(user)
    await node.api.disconnect(user=user, keepClaims=value)
    assert len((await node.api.info(user=user))["claims"]) == kept


@pytest.mark.parametrize("value", ["true", *FALSE])
async def test_claims_are_ignored_only_for_true(node: Cluster, value: str) -> None:
    user = f"f2-{value}"
    await node.api.claim(user, channels="old")
    await node.api.subscribe("new", user=user, ignoreClaims=value)
    await node.api.unsubscribe("old", user=user, ignoreClaims=value)
    (claim,) = (await node.api.info(user=user))["claims"]
    assert claim["channels"] == (["old"] if value == "true" else ["new"])


async def test_b51_b60_a_disconnect_voids_only_the_claims_of_its_target(node: Cluster) -> None:
    await node.api.claim("f3", session="a")
    kept = await node.api.claim("f3", session="b")
    await node.api.disconnect(user="f3", session="a")
    await node.api.disconnect(id="unknown", user="f3")
    assert [claim["id"] for claim in (await node.api.info(user="f3"))["claims"]] == [kept]
