"""The examples of the Go dSock's README, as they stand there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.cluster import Cluster, memory_cluster
from tests.support.wire import BINARY, TEXT, Response, dial, open_wire, request

README_TOKEN = "abcxyz"
BEARER = f"Bearer {README_TOKEN}"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Cluster]:
    async with memory_cluster(token=(README_TOKEN,)) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_left(node: Cluster) -> AsyncIterator[None]:
    """User 1 is in every example."""
    yield
    await ask(node, "POST", f"/disconnect?token={README_TOKEN}&user=1")


async def ask(
    node: Cluster, method: str, target: str, body: bytes = b"", **headers: str
) -> dict[str, Any]:
    """The answer to a request as it stands, which succeeds."""
    response = await answer(node, method, target, body, **headers)
    assert (response.status, response.json["success"]) == (200, True), response
    return response.json


async def answer(
    node: Cluster, method: str, target: str, body: bytes = b"", **headers: str
) -> Response:
    async with dial(node.workers[0]) as wire:
        await wire.send(request(method, target, body, **headers))
        return await wire.response()


async def new_claim(node: Cluster, query: str) -> str:
    made = await ask(node, "POST", f"/claim?{query}", authorization=BEARER)
    return f"claim={made['claim']['id']}"


async def test_a_claim_for_ten_seconds_with_two_channels(node: Cluster) -> None:
    target = "/claim?token=abcxyz&user=1&duration=10&channels=group-1,group-2"
    claim = (await ask(node, "POST", target))["claim"]
    assert claim.keys() == {"id", "expiration", "user", "channels"}
    assert (claim["user"], claim["channels"]) == ("1", ["group-1", "group-2"])
    assert 8 <= claim["expiration"] - time.time() <= 11


async def test_a_claim_with_a_session_an_end_and_an_id(node: Cluster) -> None:
    # As in the README but for the end, which is past by now, and the id, which is longer.
    end = int(time.time()) + 1000
    target = f"/claim?user=1&session=a&expiration={end}&id=a1b2c3d4"
    claim = (await ask(node, "POST", target, authorization=BEARER))["claim"]
    assert claim == {
        "id": "a1b2c3d4",
        "expiration": end,
        "user": "1",
        "session": "a",
        "channels": [],
    }


@pytest.mark.parametrize(
    ("query", "code"),
    [("expiration=1588473164", "INVALID_EXPIRATION"), ("id=a1b2c3", "INVALID_CLAIM_ID")],
)
async def test_a_past_end_and_a_short_id_are_refused(node: Cluster, query: str, code: str) -> None:
    refused = await answer(node, "POST", f"/claim?user=1&session=a&{query}", authorization=BEARER)
    assert (refused.status, refused.code) == (400, code)


async def test_json_for_a_user(node: Cluster) -> None:
    message = b'{"message":"Hello world!","from":"Charles"}'
    async with open_wire(node.workers[0], await new_claim(node, "user=1")) as wire:
        await ask(node, "POST", "/send?token=abcxyz&user=1&type=text", message)
        assert await wire.frame() == (TEXT, message)


async def test_text_for_a_session(node: Cluster) -> None:
    address = node.workers[0]
    async with (
        open_wire(address, await new_claim(node, "user=1&session=a")) as one,
        open_wire(address, await new_claim(node, "user=1&session=b")) as other,
    ):
        target = "/send?user=1&session=a&type=text"
        sent = await ask(node, "POST", target, b"Hey!", authorization=BEARER)
        assert sent["report"]["connections"] == 1
        assert await one.frame() == (TEXT, b"Hey!")
        await ask(node, "POST", "/send?user=1&session=b&type=text&token=abcxyz", b"You too!")
        assert await other.frame() == (TEXT, b"You too!")


async def test_bytes_for_a_channel(node: Cluster) -> None:
    address, message = node.workers[0], bytes(range(256))
    async with (
        open_wire(address, await new_claim(node, "user=1&channels=group-1")) as one,
        open_wire(address, await new_claim(node, "user=2&channels=group-2,group-1")) as two,
    ):
        target = "/send?channel=group-1&type=binary"
        sent = await ask(node, "POST", target, message, authorization=BEARER)
        assert sent["report"]["connections"] == 2
        assert [await one.frame(), await two.frame()] == [(BINARY, message)] * 2


async def test_the_disconnect_of_a_session(node: Cluster) -> None:
    # The README has `/send` here, by mistake; that needs a `type` here as there.
    refused = await answer(node, "POST", "/send?token=abcxyz&user=1&session=a")
    assert refused.code == "INVALID_MESSAGE_TYPE"
    async with open_wire(node.workers[0], await new_claim(node, "user=1&session=a")) as wire:
        done = await ask(node, "POST", "/disconnect?token=abcxyz&user=1&session=a")
        assert done["report"]["connections"] == 1
        assert await wire.goodbye() == 1000


async def test_the_info_of_a_session(node: Cluster) -> None:
    claim = await new_claim(node, "user=1&session=a")
    async with open_wire(node.workers[0], await new_claim(node, "user=1&session=a")):
        info = await ask(node, "GET", "/info?token=abcxyz&user=1&session=a")
    [connection], [waiting] = info["connections"], info["claims"]
    assert connection.keys() == {"id", "worker", "lastPing", "user", "session", "channels"}
    assert waiting.keys() == {"id", "expiration", "user", "session", "channels"}
    assert claim == f"claim={waiting['id']}"


async def test_a_user_into_a_channel_and_everyone_out_of_it(node: Cluster) -> None:
    async with open_wire(node.workers[0], await new_claim(node, "user=1")):
        joined = await ask(node, "POST", "/channel/subscribe/a?token=abcxyz&user=1")
        assert joined["report"]["connections"] == 1
        info = await ask(node, "GET", "/info?token=abcxyz&channel=a")
        assert [one["channels"] for one in info["connections"]] == [["a"]]
        left = await ask(node, "POST", "/channel/unsubscribe/a?token=abcxyz&channel=a")
        assert left["report"]["connections"] == 1
        assert (await ask(node, "GET", "/info?token=abcxyz&channel=a"))["connections"] == []
