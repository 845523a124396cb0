"""What a query may say: it is read as it was meant, and no value of any parameter is our fault."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from dsock.api.openapi import document
from dsock.api.openapi.operations import OPERATIONS, Operation
from dsock.http.upgrade import parse_query
from tests.api.described import closed, require_valid, responses
from tests.fuzz.door import Door, door
from tests.support.cluster import TOKEN
from tests.support.wire import handshake, request

DOCUMENT = closed(document())
DESCRIBED = {(call, status) for call, status, _ in responses(DOCUMENT)}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Door]:
    async with door() as node:
        yield node


names = ["user", "session", "channel", "channels", "id", "type", "token", "report", "claim"]
names += ["jwt", "duration", "expiration", "keepClaims", "ignoreClaims"]
odd = ["", "true", "false", "text", "binary", "1", "0", "-1", "+1", "00", "1e9", "9" * 13, "a,b"]
odd += [",", ",,a", "a" * 255, "a" * 256, "ü" * 128, "\0", "\x7f", "\ud800", " ", "*", "9" * 5000]
values = st.sampled_from(odd) | st.text(max_size=20) | st.integers().map(str)
parameters = st.lists(st.tuples(st.sampled_from(names) | st.text(max_size=5), values), max_size=5)


@st.composite
def written(draw: st.DrawFn, text: str) -> str:
    """A text as a query or path has it: anything may be percent-encoded, and some has to be."""
    data = text.encode("utf-8", "surrogatepass")
    plain = [one for one in set(data) if 0x20 < one < 0x7F and one not in b"%&=+#/?"]
    bare = draw(st.sets(st.sampled_from(plain))) if plain else set()
    return "".join(chr(one) if one in bare else f"%{one:02{draw(cases)}}" for one in data)


cases = st.sampled_from("xX")


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    """A query, and what it says."""
    pairs = draw(parameters)
    query = "&".join(f"{draw(written(name))}={draw(written(value))}" for name, value in pairs)
    return query, [(as_read(name), as_read(value)) for name, value in pairs]


raw = st.binary(max_size=12).map(lambda data: bytes(one for one in data if one not in b"%&=+"))


@given(st.lists(st.tuples(raw, raw), max_size=4))
async def test_bytes_that_are_no_text_are_read_as_they_are(
    pairs: list[tuple[bytes, bytes]],
) -> None:
    read = parse_query(b"&".join(b"=".join(pair) for pair in pairs))
    assert [tuple(one.encode("utf-8", "surrogateescape") for one in pair) for pair in read] == pairs


def as_read(text: str) -> str:
    # A text that is no UTF-8 is not mended: two that differ are read as two that differ.
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")


@given(queries())
async def test_a_query_is_read_as_it_was_meant(
    said: tuple[str, list[tuple[str, str]]],
) -> None:
    query, pairs = said
    assert parse_query(query.encode()) == pairs


@settings(max_examples=400)
@given(st.sampled_from(OPERATIONS), queries(), values.flatmap(written), st.binary(max_size=8))
async def test_a_call_is_answered_as_described_whatever_its_parameters(
    node: Door,
    call: Operation,
    said: tuple[str, list[tuple[str, str]]],
    channel: str,
    body: bytes,
) -> None:
    target = f"{call.path.replace('{channel}', channel)}?{said[0]}"
    if call.id == "connect":
        asked = handshake(target)
    else:
        asked = request(call.method, target, body, authorization=f"Bearer {TOKEN}")
    (response,) = await node.ask([asked])
    if response.status == 404:
        # A channel that is empty, or none with a slash, is another path.
        assert "{channel}" in call.path
        return
    assert (call.id, response.status) in DESCRIBED, response
    if response.headers.get("content-type") == "application/json":
        content = json.loads(response.body)
        require_valid(DOCUMENT, call.id, response.status, content, response.headers)


@settings(max_examples=300)
@given(st.sampled_from(OPERATIONS), st.binary(max_size=40))
async def test_a_query_of_any_bytes_is_never_our_fault(
    node: Door, call: Operation, query: bytes
) -> None:
    path = call.path.replace("{channel}", "news").encode()
    head = b" HTTP/1.1\r\nhost: dsock.test\r\nauthorization: Bearer " + TOKEN.encode()
    asked = call.method.encode() + b" " + path + b"?" + query + head + b"\r\n\r\n"
    for response in await node.ask([asked]):
        assert response.status < 500
