"""Who is let in at `/connect`, with what, and who keeps a claim that was not used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.support.cluster import JWT_SECRET, Cluster, memory_cluster
from tests.support.wire import KEY, TEXT, Response, dial, frame, handshake, open_wire, request

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Cluster]:
    async with memory_cluster(
        default_channels=("all", "news"),
        allowed_origins=("https://example.com", "https://*.example.org"),
        # One would come between what is read.
        ping_interval=3600.0,
    ) as cluster:
        yield cluster


def token(user: str = "42", secret: str = JWT_SECRET, **payload: Any) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 3600} | payload, secret)


async def knock(node: Cluster, query: str = "", **headers: str) -> Response:
    """The answer to a handshake."""
    async with dial(node.workers[0]) as wire:
        await wire.send(handshake(f"/connect?{query}", **headers))
        return await wire.response()


async def code(node: Cluster, query: str = "", **headers: str) -> tuple[int, str]:
    response = await knock(node, query, **headers)
    return response.status, response.json["errorCode"] if response.body else ""


IN = (101, "")

# --- where a credential may stand --------------------------------------------------------


async def test_a_claim_comes_in_the_query_or_as_a_subprotocol(node: Cluster) -> None:
    query, protocol = [await node.api.claim("42") for _ in range(2)]
    assert await code(node, f"claim={query}") == IN
    offer = f"dsock.claim.{protocol}, dsock"
    response = await knock(node, sec_websocket_protocol=offer)
    assert (response.status, response.headers["sec-websocket-protocol"]) == (101, "dsock")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_jwt_comes_in_the_query_a_header_or_as_a_subprotocol(
    node: Cluster, scheme: str
) -> None:
    assert await code(node, f"jwt={token()}") == IN
    assert await code(node, authorization=f"{scheme} {token()}") == IN
    assert await code(node, sec_websocket_protocol=f"chat.v2, dsock.jwt.{token()}") == IN


async def test_a_browser_can_connect_without_a_secret_in_its_url(node: Cluster) -> None:
    claim = await node.api.claim("browser")
    protocols = [Subprotocol(f"dsock.claim.{claim}"), Subprotocol("chat.v2"), Subprotocol("dsock")]
    async with connect(node.url(), subprotocols=protocols) as client:
        assert client.subprotocol == "chat.v2"
        await node.api.send("hello", user="browser")
        assert await client.recv() == "hello"


async def test_a_subprotocol_of_the_application_is_selected(node: Cluster) -> None:
    claim = await node.api.claim("42")
    response = await knock(node, f"claim={claim}", sec_websocket_protocol="chat.v2, chat.v1")
    assert response.headers["sec-websocket-protocol"] == "chat.v2"


async def test_who_offers_no_subprotocol_is_given_none(node: Cluster) -> None:
    response = await knock(node, f"claim={await node.api.claim('42')}")
    assert "sec-websocket-protocol" not in response.headers


async def test_a_credential_alone_is_no_subprotocol_and_is_not_burnt(node: Cluster) -> None:
    claim = await node.api.claim("42")
    alone = await code(node, sec_websocket_protocol=f"dsock.claim.{claim}")
    assert alone == (400, "INVALID_HANDSHAKE")
    assert await code(node, f"claim={claim}") == IN


async def test_a_claim_goes_before_a_jwt(node: Cluster) -> None:
    claim = await node.api.claim("of-claim")
    async with open_wire(node.workers[0], f"jwt={token('of-jwt')}&claim={claim}"):
        assert len((await node.api.info(user="of-claim"))["connections"]) == 1
        assert (await node.api.info(user="of-jwt"))["connections"] == []


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("claim={claim}&claim={claim}", {}),
        ("claim={claim}&claim=other-claim", {}),
        ("claim={claim}", {"sec_websocket_protocol": "dsock, dsock.claim.{claim}"}),
        ("claim={claim}&jwt={jwt}&jwt={jwt}", {}),
        ("claim={claim}&jwt={jwt}", {"authorization": "Bearer {jwt}"}),
        ("jwt={jwt}", {"sec_websocket_protocol": "dsock, dsock.jwt.{jwt}"}),
    ],
)
async def test_a_repeated_credential_is_refused_and_not_burnt(
    node: Cluster, query: str, headers: dict[str, str]
) -> None:
    secrets = {"claim": await node.api.claim("42"), "jwt": token()}
    given = {name: value.format(**secrets) for name, value in headers.items()}
    repeated = await code(node, query.format(**secrets), **given)
    assert repeated == (400, "REPEATED_CREDENTIALS")
    assert await code(node, f"claim={secrets['claim']}") == IN


# --- credentials that are none -----------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {}),
        ("claim=", {}),
        ("claim=&jwt=", {}),
        ("Claim=x&user=42", {}),
        ("", {"authorization": "Basic abc"}),
        ("", {"authorization": "Bearer"}),
        ("", {"sec_websocket_protocol": "dsock"}),
    ],
)
async def test_who_shows_nothing_is_refused(
    node: Cluster, query: str, headers: dict[str, str]
) -> None:
    assert await code(node, query, **headers) == (401, "MISSING_AUTHENTICATION")


@pytest.mark.parametrize("claim", ["unknown-claim", "%FF", "%00", "x" * 5000, "*", "../x"])
async def test_a_claim_that_never_was_is_refused(node: Cluster, claim: str) -> None:
    assert await code(node, f"claim={claim}") == (401, "MISSING_CLAIM")


async def test_b01_a_claim_lets_one_client_in(node: Cluster) -> None:
    claim = await node.api.claim("42")
    answers = await asyncio.gather(*(code(node, f"claim={claim}") for _ in range(50)))
    assert answers.count(IN) == 1
    assert answers.count((401, "MISSING_CLAIM")) == 49


@pytest.mark.parametrize(
    "bad",
    [
        token(secret="another-secret-0123456789abcdef-0123"),
        token(exp=1),
        token(user=""),
        token(channels="news"),
        token(channels=["a,b"]),
        jwt.encode({"sub": "42"}, JWT_SECRET),
        jwt.encode({"sub": "42", "iat": 1}, JWT_SECRET),
        jwt.encode({"exp": 2**32}, JWT_SECRET),
        jwt.encode({"sub": "42", "exp": 2**32}, None, algorithm="none"),
        jwt.encode({"sub": "42", "exp": 2**32}, JWT_SECRET, headers={"crit": ["exp"]}),
        token() + "x",
        "x",
        "a.b.c",
        "%FF",
        "..",
        "x" * 8000,
    ],
)
async def test_b04_b05_a_bad_jwt_is_refused(node: Cluster, bad: str) -> None:
    assert await code(node, f"jwt={bad}") == (401, "INVALID_JWT")


async def test_a_jwt_is_nothing_where_no_secret_is_set() -> None:
    async with memory_cluster(jwt_secret=()) as node:
        assert await code(node, f"jwt={token()}") == (401, "MISSING_AUTHENTICATION")


async def test_a_jwt_of_the_secret_before_is_good_while_both_are_listed() -> None:
    old = "the-secret-before-0123456789abcdef"
    async with memory_cluster(jwt_secret=(JWT_SECRET, old)) as node:
        assert await code(node, f"jwt={token(secret=old)}") == IN
        assert await code(node, f"jwt={token()}") == IN


# --- what does not burn a claim ----------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_websocket_version": "8"},
        {"sec_websocket_version": ""},
        {"sec_websocket_version": "13, 8"},
        {"sec_websocket_key": ""},
        {"sec_websocket_key": "short"},
        {"sec_websocket_key": KEY[:-2]},
        {"sec_websocket_key": "!" * 24},
        {"sec_websocket_protocol": "two words"},
        {"sec_websocket_protocol": 'chat, "quoted"'},
        {"sec_websocket_extensions": "permessage-deflate; ="},
    ],
    ids=str,
)
async def test_b03_a_bad_handshake_does_not_burn_a_claim(
    node: Cluster, headers: dict[str, str]
) -> None:
    claim = await node.api.claim("42")
    response = await knock(node, f"claim={claim}", **headers)
    assert (response.status, response.code) == (400, "INVALID_HANDSHAKE")
    assert response.headers["sec-websocket-version"] == "13"
    assert await code(node, f"claim={claim}") == IN


async def test_b03_a_request_without_a_host_does_not_burn_a_claim(node: Cluster) -> None:
    claim = await node.api.claim("42")
    response = await knock(node, f"claim={claim}", host="")
    assert (response.status, response.code) == (400, "INVALID_REQUEST")
    assert await code(node, f"claim={claim}") == IN


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_b03_a_plain_request_does_not_burn_a_claim(node: Cluster, method: str) -> None:
    claim = await node.api.claim("42")
    async with dial(node.workers[0]) as wire:
        await wire.send(request(method, f"/connect?claim={claim}", connection="close"))
        answer = await wire.end()
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert b"upgrade: websocket\r\n" in answer.lower()
    assert await code(node, f"claim={claim}") == IN


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("", (401, "MISSING_AUTHENTICATION")),
        ("claim=unknown-claim", (401, "MISSING_CLAIM")),
        ("claim=a&claim=b", (400, "REPEATED_CREDENTIALS")),
        ("jwt=x", (401, "INVALID_JWT")),
        (f"jwt={token()}", (426, "UPGRADE_REQUIRED")),
    ],
)
async def test_a_plain_request_is_told_what_is_wrong(
    node: Cluster, query: str, answer: tuple[int, str]
) -> None:
    reply = await node.api.http.get(f"/connect?{query}", headers={"authorization": ""})
    assert (reply.status_code, reply.json()["errorCode"]) == answer


@pytest.mark.parametrize(
    "origin", ["https://evil.test", "null", "http://example.com", "https://example.org"]
)
async def test_b03_b10_a_foreign_page_is_refused_and_burns_no_claim(
    node: Cluster, origin: str
) -> None:
    claim = await node.api.claim("42")
    assert await code(node, f"claim={claim}", origin=origin) == (403, "ORIGIN_REFUSED")
    assert await code(node, f"claim={claim}") == IN


@pytest.mark.parametrize("origin", ["https://example.com", "https://a.b.example.org"])
async def test_b10_a_page_of_ours_is_let_in(node: Cluster, origin: str) -> None:
    assert await code(node, f"jwt={token()}", origin=origin) == IN


# --- once inside -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "joined"),
    [
        ("", ["all", "news"]),
        ("mine", ["mine", "all", "news"]),
        ("news,mine,all", ["news", "mine", "all"]),
    ],
)
async def test_b08_default_channels_follow_the_claims_without_doubles(
    node: Cluster, channels: str, joined: list[str]
) -> None:
    async with node.client("b8", channels=channels) as client:
        (one,) = (await node.api.info(user="b8"))["connections"]
        assert one["channels"] == joined
        for channel in joined:
            assert (await node.api.send(channel, channel=channel)).report["connections"] == 1
            assert await client.recv() == channel
        await node.api.unsubscribe("news", user="b8")
        assert (await node.api.send("x", channel="news")).report["connections"] == 0


async def test_default_channels_are_of_the_connection_and_not_of_the_claim(node: Cluster) -> None:
    made = await node.api.call("POST", "/claim", user="default", channels="mine")
    assert made.json["claim"]["channels"] == ["mine"]
    assert (await node.api.info(user="default"))["claims"][0]["channels"] == ["mine"]
    async with open_wire(node.workers[0], f"claim={made.json['claim']['id']}"):
        info = await node.api.info(user="default")
        assert info["connections"][0]["channels"] == ["mine", "all", "news"]
        assert info["claims"] == []


async def test_a_jwt_brings_user_session_and_channels(node: Cluster) -> None:
    good = token("of-jwt", sid="s", channels=["b", "a", "b"])
    async with open_wire(node.workers[0], f"jwt={good}"):
        (one,) = (await node.api.info(user="of-jwt", session="s"))["connections"]
        assert one["channels"] == ["b", "a", "all", "news"]


async def test_a_raw_socket_is_served(node: Cluster) -> None:
    async with open_wire(node.workers[0], f"claim={await node.api.claim('raw')}") as wire:
        await node.api.send("hello", user="raw")
        assert await wire.frame() == (TEXT, b"hello")
        await wire.send(frame(TEXT, b"thanks"))
        assert (await node.api.send("bye", user="raw")).report["connections"] == 1


async def test_curl_is_served(node: Cluster) -> None:
    url = node.url(f"?claim={await node.api.claim('curl')}").replace("ws:", "http:")
    headers = [
        *("-H", "Connection: Upgrade", "-H", "Upgrade: websocket"),
        *("-H", f"Sec-WebSocket-Key: {KEY}", "-H", "Sec-WebSocket-Version: 13"),
    ]
    curl = await asyncio.create_subprocess_exec(
        *("curl", "-sN", "--http1.1", "--max-time", "5", *headers, url),
        stdout=asyncio.subprocess.PIPE,
    )
    assert curl.stdout
    while not (await node.api.send("hello", user="curl")).report["connections"]:
        pass
    assert await curl.stdout.readexactly(7) == b"\x81\x05hello"
    curl.terminate()
    await curl.communicate()
