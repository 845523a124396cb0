"""Every call of the API, every parameter of it, and what is wrong with them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.support.cluster import TOKEN, Caller, Cluster, Reply, memory_cluster
from tests.support.wire import dial, request

NAMES = ["a/b", "//", "two words", "Zoë", "東京", "\N{FOX FACE}", "a+b", "50%", "a&b=c", "?#"]
LONGEST = "x" * 255
BAD_NAMES = ["x" * 256, "é" * 128, "\x00", "a\nb", "\x7f", "\x85"]
COMMANDS = ["/send", "/disconnect", "/channel/subscribe/news", "/channel/unsubscribe/news"]
TARGETED = [*COMMANDS, "/info"]
CALLS = ["/claim", *TARGETED]
YEAR_10000 = 253_402_300_800

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Cluster]:
    """One node for all; tests that count have users of their own."""
    async with memory_cluster(token=(TOKEN, "next-token")) as cluster:
        yield cluster


def verb(path: str) -> str:
    return "GET" if path == "/info" else "POST"


async def ask(node: Cluster, path: str, body: bytes = b"", /, **parameters: object) -> Reply:
    return await node.api.call(verb(path), path, body, **parameters)


async def raw(node: Cluster, path: str, query: str, body: bytes = b"") -> tuple[int, str]:
    """Status and error code of a call whose query is sent as it stands."""
    async with dial(node.workers[0]) as wire:
        target = f"{path}?{query}"
        await wire.send(request(verb(path), target, body, authorization=f"Bearer {TOKEN}"))
        response = await wire.response()
        return response.status, response.json.get("errorCode", "")


# --- the token ---------------------------------------------------------------------------


async def status(node: Cluster, path: str, query: str = "", **headers: str) -> tuple[int, str]:
    """How a call without any parameter but a token is answered."""
    async with httpx.AsyncClient(base_url=node.api.url) as anyone:
        response = await anyone.request(verb(path), path + query, headers=headers)
        return response.status_code, response.json()["errorCode"]


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(
    ("query", "authorization"),
    [
        (f"?token={TOKEN}", ""),
        ("?token=next-token", ""),
        ("", f"Bearer {TOKEN}"),
        ("", "Bearer next-token"),
        ("", f"bearer {TOKEN}"),
        ("", f"BEARER {TOKEN}"),
        (f"?token={TOKEN}", "Basic abc"),
        ("?token=wrong", f"Bearer {TOKEN}"),
    ],
)
async def test_a_call_with_a_token_gets_to_its_parameters(
    node: Cluster, path: str, query: str, authorization: str
) -> None:
    wanted = "USER_ID_REQUIRED" if path == "/claim" else "MISSING_TARGET"
    headers = {"authorization": authorization} if authorization else {}
    assert await status(node, path, query, **headers) == (400, wanted)


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(
    ("query", "authorization"),
    [
        ("", ""),
        ("?token=", ""),
        ("?token=wrong", ""),
        (f"?token={TOKEN[:-1]}", ""),
        (f"?token={TOKEN}x", ""),
        (f"?token={TOKEN},next-token", ""),
        (f"?token=wrong&token={TOKEN}", ""),
        ("?token=%FF", ""),
        ("", TOKEN),
        ("", f"XXXXXXX{TOKEN}"),
        ("", f"Basic {TOKEN}"),
        ("", f"Bearer{TOKEN}"),
        ("", "Bearer"),
        ("", "Bearer \xe9"),
    ],
)
async def test_b45_b46_b48_a_call_without_a_token_is_refused(
    node: Cluster, path: str, query: str, authorization: str
) -> None:
    headers = {b"authorization": authorization.encode("latin-1")} if authorization else {}
    async with httpx.AsyncClient(base_url=node.api.url) as anyone:
        response = await anyone.request(verb(path), path + query, headers=headers)
    content = response.json()
    assert (response.status_code, content["errorCode"]) == (401, "INVALID_AUTHORIZATION")
    assert content["requestId"]
    assert response.headers["www-authenticate"] == "Bearer"


# --- the order of checks -----------------------------------------------------------------


async def test_the_token_is_checked_before_anything_else(node: Cluster) -> None:
    caller = Caller(node.api.url, token="wrong")
    async with caller.http:
        reply = await caller.call("POST", "/send", b"\xff" * 2**21, type="x")
    assert (reply.status, reply.code) == (401, "INVALID_AUTHORIZATION")


@pytest.mark.parametrize("body", [b"\xff", b"x" * (2**20 + 1)], ids=["encoding", "size"])
@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"type": "x"}, "MISSING_TARGET"),
        ({"type": "x", "user": "\n"}, "INVALID_USER"),
        ({"type": "x", "user": "42"}, "INVALID_MESSAGE_TYPE"),
    ],
    ids=["target", "name", "type"],
)
async def test_of_several_mistakes_target_comes_before_type_before_body(
    node: Cluster, body: bytes, parameters: dict[str, str], code: str
) -> None:
    reply = await ask(node, "/send", body, **parameters)
    assert (reply.status, reply.code) == (400, code)


async def test_the_channel_of_a_subscribe_is_checked_before_its_target(node: Cluster) -> None:
    reply = await ask(node, "/channel/subscribe/a,b")
    assert (reply.status, reply.code) == (400, "INVALID_CHANNEL")


# --- targets -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", TARGETED)
@pytest.mark.parametrize(
    "query", ["", "user=", "id=&channel=&user=", "session=a", "User=42", "target=42"]
)
async def test_b60_a_call_needs_a_target(node: Cluster, path: str, query: str) -> None:
    assert await raw(node, path, f"{query}&type=text") == (400, "MISSING_TARGET")


@pytest.mark.parametrize("path", TARGETED)
@pytest.mark.parametrize("bad", BAD_NAMES, ids=ascii)
@pytest.mark.parametrize(
    ("selector", "code"),
    [
        ("id", "INVALID_CONNECTION_ID"),
        ("channel", "INVALID_CHANNEL"),
        ("user", "INVALID_USER"),
    ],
)
async def test_a_selector_that_can_be_no_name_is_refused(
    node: Cluster, path: str, bad: str, selector: str, code: str
) -> None:
    reply = await ask(node, path, type="text", **{selector: bad})
    assert (reply.status, reply.code) == (400, code)


@pytest.mark.parametrize("path", TARGETED)
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("channel=a,b", "INVALID_CHANNEL"),
        ("user=%FF", "INVALID_USER"),
        ("user=%C0%80", "INVALID_USER"),
        ("user=%ED%A0%80", "INVALID_USER"),
        ("channel=%FF", "INVALID_CHANNEL"),
        ("id=%FF", "INVALID_CONNECTION_ID"),
        ("user=42&session=%FF", "INVALID_SESSION"),
        ("user=42&session=%0A", "INVALID_SESSION"),
    ],
)
async def test_what_is_no_utf8_or_has_a_comma_is_refused(
    node: Cluster, path: str, query: str, code: str
) -> None:
    assert await raw(node, path, f"{query}&type=text") == (400, code)


@pytest.mark.parametrize("path", TARGETED)
@pytest.mark.parametrize(
    "query",
    [
        f"user={LONGEST}",
        "user=42&user=%FF",
        "id=any-text&channel=a,b&user=%0A",
        "channel=news&user=%0A&session=%FF",
        "channel=news&session=%FF",
        "id=&user=42",
        "user=42&session=",
        "user=42&unknown=1",
    ],
)
async def test_what_the_winning_selector_hides_is_ignored_whole(
    node: Cluster, path: str, query: str
) -> None:
    assert await raw(node, path, f"{query}&type=text") == (200, "")


@pytest.mark.parametrize("name", [*NAMES, LONGEST], ids=ascii)
async def test_names_may_be_any_text(node: Cluster, name: str) -> None:
    async with node.client(name, session=name, channels=name) as client:
        (one,) = (await node.api.info(user=name, session=name))["connections"]
        assert (one["user"], one["session"], one["channels"]) == (name, name, [name])
        for target in ({"user": name}, {"channel": name}, {"id": one["id"]}):
            assert (await node.api.send("hello", **target)).report["connections"] == 1
            assert await client.recv() == "hello"
        assert (await node.api.unsubscribe(name, user=name)).report["connections"] == 1
        assert (await node.api.info(user=name))["connections"][0]["channels"] == []
        assert (await node.api.subscribe(name, user=name)).report["connections"] == 1
        assert (await node.api.info(channel=name))["connections"][0]["id"] == one["id"]


@pytest.mark.parametrize("path", ["subscribe", "unsubscribe"])
@pytest.mark.parametrize("tail", [".", "..", "a/../b", "a//", "%2F", "%252C", "+", "?channel=a"])
async def test_a_path_is_taken_as_it_stands(node: Cluster, path: str, tail: str) -> None:
    tail = tail.replace("?", "%3F")
    assert await raw(node, f"/channel/{path}/{tail}", "user=42") == (200, "")


@pytest.mark.parametrize(
    "path", ["/%63hannel/subscribe/news", "/channel/subscrib%65/A/channel/subscribe/news"]
)
async def test_an_encoded_letter_of_a_path_changes_nothing(node: Cluster, path: str) -> None:
    channel = "news" if path.startswith("/%") else "A/channel/subscribe/news"
    async with node.client("42"):
        assert await raw(node, path, "user=42") == (200, "")
        [one] = (await node.api.info(user="42"))["connections"]
        assert one["channels"] == [channel]


@pytest.mark.parametrize("path", ["/channel%2Fsubscribe/news", "/channel%2Fsubscribe%2Fnews"])
async def test_an_encoded_slash_is_no_separator(node: Cluster, path: str) -> None:
    assert await raw(node, path, "user=42") == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["subscribe", "unsubscribe"])
@pytest.mark.parametrize(
    "tail", ["", "a,b", "%2C", "%FF", "%C3", "%00", "%0A", "a%0Ab", "x" * 256], ids=ascii
)
async def test_b58_a_path_that_is_no_channel_is_refused(
    node: Cluster, path: str, tail: str
) -> None:
    answer = await raw(node, f"/channel/{path}/{tail}", "user=42")
    assert answer == (400, "INVALID_CHANNEL")


# --- /claim ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "USER_ID_REQUIRED"),
        ("user=", "USER_ID_REQUIRED"),
        ("user=%FF", "INVALID_USER"),
        ("user=%00", "INVALID_USER"),
        ("user=42&session=%00", "INVALID_SESSION"),
        ("user=42&channels=a,%00", "INVALID_CHANNEL"),
        ("user=42&channels=%FF", "INVALID_CHANNEL"),
        ("user=42&id=a", "INVALID_CLAIM_ID"),
        ("user=42&id=" + "a" * 129, "INVALID_CLAIM_ID"),
        ("user=42&id=12345678%0A", "INVALID_CLAIM_ID"),
        ("user=42&id=12345678%C3%A9", "INVALID_CLAIM_ID"),
        *(
            (f"user=42&{name}={value}", f"{kind}_{name.upper()}")
            for name in ("expiration", "duration")
            for value, kind in [
                ("x", "INVALID"),
                ("1.5", "INVALID"),
                ("1e3", "INVALID"),
                ("0x10", "INVALID"),
                ("1_000", "INVALID"),
                ("%D9%A3", "INVALID"),
                ("%201", "INVALID"),
                ("9" * 30, "INVALID"),
                (str(YEAR_10000), "INVALID"),
                ("0", "NEGATIVE"),
                ("-1", "NEGATIVE"),
                ("-" + "9" * 30, "NEGATIVE"),
            ]
        ),
        ("user=42&expiration=1", "INVALID_EXPIRATION"),
        ("user=42&duration=9223372036854775807", "INVALID_DURATION"),
        ("user=42&duration=10000000000000", "INVALID_DURATION"),
        ("user=42&expiration=1000000000000", "INVALID_EXPIRATION"),
    ],
)
async def test_b55_b56_b57_a_claim_with_a_bad_parameter_is_refused(
    node: Cluster, query: str, code: str
) -> None:
    assert await raw(node, "/claim", query) == (400, code)


async def test_a_claim_shows_what_was_asked_for(node: Cluster) -> None:
    reply = await ask(
        node, "/claim", user="c1", session="s", channels="b,a,,b", id="my-claim-1", duration=100
    )
    expiration = reply.json["claim"].pop("expiration")
    assert reply.json == {
        "success": True,
        "claim": {"id": "my-claim-1", "user": "c1", "session": "s", "channels": ["b", "a"]},
    }
    assert abs(expiration - time.time() - 100) < 5


async def test_absent_fields_of_a_claim_are_left_out(node: Cluster) -> None:
    claim = (await ask(node, "/claim", user="c2", session="")).json["claim"]
    assert set(claim) == {"id", "user", "expiration", "channels"}
    assert claim["channels"] == []
    assert len(claim["id"]) >= 22


async def test_an_expiration_goes_before_a_duration(node: Cluster) -> None:
    end = int(time.time()) + 1000
    reply = await ask(node, "/claim", user="c3", expiration=end, duration="x")
    assert reply.json["claim"]["expiration"] == end


async def test_b52_a_claim_id_is_used_once(node: Cluster) -> None:
    await ask(node, "/claim", user="c4", id="claim-of-c4")
    again = await ask(node, "/claim", user="c5", id="claim-of-c4")
    assert (again.status, again.code) == (400, "CLAIM_ID_ALREADY_USED")
    assert (await node.api.info(user="c5"))["claims"] == []
