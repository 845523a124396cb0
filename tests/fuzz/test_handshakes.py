"""Requests to connect: right and wrong in every place, and with bytes changed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import jwt
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.door import Door, Response, door
from tests.fuzz.test_frames import segments
from tests.support.cluster import JWT_SECRET, TOKEN
from tests.support.wire import KEY, request

CLAIM = "claim-of-a-fuzzer"
ASK = request("POST", f"/claim?user=u&id={CLAIM}", authorization=f"Bearer {TOKEN}")
VOID = request("POST", "/disconnect?user=u", authorization=f"Bearer {TOKEN}")
INFO = request("GET", "/info?user=u", authorization=f"Bearer {TOKEN}")
JWT = jwt.encode({"sub": "u", "exp": int(time.time()) + 10**6}, JWT_SECRET)

IN = (101, "")
INVALID = (400, "INVALID_HANDSHAKE")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Door]:
    async with door(allowed_origins=("https://*.example.com",)) as node:
        yield node


class Choice(NamedTuple):
    """What stands in one place, and what is answered for that alone."""

    text: str
    answer: tuple[int, str] = IN


def one_of(*choices: Choice) -> st.SearchStrategy[Choice]:
    # The first is right, and as likely as all the others.
    return st.just(choices[0]) | st.sampled_from(choices)


keys = one_of(
    Choice(KEY),
    Choice("AAAAAAAAAAAAAAAAAAAAAA=="),
    Choice("", INVALID),
    Choice("short", INVALID),
    Choice("AAAAAAAAAAAAAAAAAAAAAAAA", INVALID),
    Choice("AAAAAAAAAAAAAAAAAAAAAA", INVALID),
    Choice("AAAAAAAAAAAAAAAAAAAA-_==", INVALID),
)
versions = one_of(
    Choice("13"),
    Choice("", INVALID),
    Choice("8", INVALID),
    Choice("13, 8", INVALID),
    Choice("0x0d", INVALID),
)
origins = one_of(
    Choice(""),
    Choice("https://a.example.com"),
    Choice("https://example.com", (403, "ORIGIN_REFUSED")),
    Choice("null", (403, "ORIGIN_REFUSED")),
    Choice("https://a.example.com.evil.test", (403, "ORIGIN_REFUSED")),
    Choice("http://a.example.com", (403, "ORIGIN_REFUSED")),
)
protocols = one_of(
    Choice(""),
    Choice("dsock"),
    Choice("a, b,,c"),
    Choice("dsock.claim.", INVALID),
    Choice("a b", INVALID),
    Choice("a, dsock.jwt."),
)
extensions = one_of(
    Choice(""),
    Choice("permessage-deflate"),
    Choice("permessage-deflate; client_max_window_bits=8, x"),
    Choice("permessage-deflate; server_max_window_bits=99"),
    Choice("x-unknown; a=b"),
    Choice(";", INVALID),
    Choice("permessage-deflate; =", INVALID),
)
credentials = one_of(
    Choice(f"claim={CLAIM}"),
    Choice(f"jwt={JWT}"),
    Choice(f"claim=&claim={CLAIM}"),
    Choice(f"claim={CLAIM}&jwt=x"),
    Choice(f"&&x=y&%63laim={CLAIM}&"),
    Choice("", (401, "MISSING_AUTHENTICATION")),
    Choice("claim=", (401, "MISSING_AUTHENTICATION")),
    Choice("CLAIM=x", (401, "MISSING_AUTHENTICATION")),
    Choice(f"claim={CLAIM}&claim={CLAIM}", (400, "REPEATED_CREDENTIALS")),
    Choice("jwt=a&jwt=b", (400, "REPEATED_CREDENTIALS")),
    Choice("claim=nobody", (401, "MISSING_CLAIM")),
    Choice("claim=%ff%00", (401, "MISSING_CLAIM")),
    Choice(f"claim={CLAIM}%20", (401, "MISSING_CLAIM")),
    Choice("jwt=a.b.c", (401, "INVALID_JWT")),
    Choice(f"jwt={JWT}x", (401, "INVALID_JWT")),
)
upgrades = one_of(
    Choice("websocket"),
    Choice("WebSocket"),
    Choice("h2c, websocket"),
    Choice("h2c", (426, "UPGRADE_REQUIRED")),
    Choice("", (426, "UPGRADE_REQUIRED")),
)


@settings(max_examples=300)
@given(st.tuples(keys, versions, origins, protocols, extensions, credentials), upgrades)
async def test_a_handshake_is_answered_for_what_is_wrong_with_it_first(
    node: Door, choices: tuple[Choice, ...], upgrade: Choice
) -> None:
    key, version, origin, protocol, extension, credential = choices
    handshake = request(
        "GET",
        f"/connect?{credential.text}",
        upgrade=upgrade.text,
        connection="Upgrade" if upgrade.text else "",
        sec_websocket_key=key.text,
        sec_websocket_version=version.text,
        origin=origin.text,
        sec_websocket_protocol=protocol.text,
        sec_websocket_extensions=extension.text,
    )
    asked = [credential] if upgrade.answer != IN else choices
    wrong = [choice.answer for choice in asked if choice.answer != IN]
    await node.ask([VOID])
    await node.ask([ASK])
    assert [answer_of(one) for one in await node.ask([handshake])] == [*wrong, upgrade.answer][:1]
    used = not wrong and upgrade.answer == IN and "jwt=ey" not in credential.text
    assert (CLAIM.encode() in (await node.ask([INFO]))[0].body) == (not used)


def answer_of(response: Response) -> tuple[int, str]:
    return response.status, response.code


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """Requests in order, but for some bytes."""
    handshake = request(
        "GET",
        f"/connect?claim={CLAIM}",
        upgrade="websocket",
        connection="keep-alive, Upgrade",
        sec_websocket_key=KEY,
        sec_websocket_version="13",
    )
    send = request("POST", "/send?user=u&type=text", b"hi", authorization=f"Bearer {TOKEN}")
    some = st.sampled_from([handshake, handshake, send, INFO, request("GET", "/ping")])
    data = bytearray(b"".join(draw(st.lists(some, min_size=1, max_size=3))))
    odd = st.sampled_from([b"\r\n", b"\n", b"\0", b" ", b":", b",", b"%", b"\xff", b"HTTP/1.0"])
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data) - 1))
        data[place : place + draw(st.integers(0, 3))] = draw(odd | st.binary(max_size=3))
    return bytes(data)


@settings(max_examples=300)
@given(st.one_of(spoilt(), st.binary(max_size=64)).flatmap(segments))
async def test_whatever_is_asked_is_answered_in_order_and_never_our_fault(
    node: Door, segments: list[bytes]
) -> None:
    await node.ask([ASK])
    for response in await node.ask(segments):
        assert response.status < 500
        assert response.headers["x-request-id"]
        assert response.status in (101, 200) or response.code
