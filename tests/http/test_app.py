"""What every answer has in common, and what load balancers ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dsock.http.rules import Rules
from tests.support.cluster import Cluster, memory_cluster
from tests.support.redis_server import free_port
from tests.support.web import web
from tests.support.wire import dial, handshake, request

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Cluster]:
    async with memory_cluster() as cluster:
        yield cluster


async def ask(node: Cluster, method: str, path: str, **headers: str) -> httpx.Response:
    """What anyone is answered, without a token."""
    async with httpx.AsyncClient(base_url=node.api.url) as anyone:
        return await anyone.request(method, path, headers=headers)


# --- X-Request-ID ------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["a", "!~", "x" * 128, "6f1c-7", '"quoted"'])
async def test_a_request_keeps_the_id_it_came_with(node: Cluster, id: str) -> None:
    response = await ask(node, "GET", "/info", **{"x-request-id": id})
    assert response.headers["x-request-id"] == id == response.json()["requestId"]


@pytest.mark.parametrize("id", [b"", b"x" * 129, b"two words", b"\xc3\xa9", b"tab\there"])
async def test_an_id_that_is_no_id_is_replaced(node: Cluster, id: bytes) -> None:
    async with dial(node.workers[0]) as wire:
        await wire.send(b"GET /info HTTP/1.1\r\nhost: x\r\nx-request-id: ", id, b"\r\n\r\n")
        response = await wire.response()
        given = response.headers["x-request-id"]
        assert given == response.json["requestId"]
        assert given
        assert given.encode() != id


async def test_every_request_gets_an_id_of_its_own(node: Cluster) -> None:
    ids = [(await ask(node, "GET", "/ready")).headers["x-request-id"] for _ in range(20)]
    assert len(set(ids)) == 20


@pytest.mark.parametrize(
    "sent",
    [
        request("GET", "/ping", x_request_id="mine"),
        request("GET", "/ready", x_request_id="mine"),
        request("GET", "/metrics", x_request_id="mine"),
        request("GET", "/info", x_request_id="mine"),
        request("GET", "/nowhere", x_request_id="mine"),
        request("PATCH", "/claim", x_request_id="mine"),
        request("GET", "/connect", x_request_id="mine"),
        handshake("/connect", x_request_id="mine"),
        handshake("/connect?claim=unknown-claim", x_request_id="mine"),
        handshake("/connect", x_request_id="mine") + b"early",
        request("GET", "/ping", x_request_id="mine", **{f"x{i}": "y" for i in range(101)}),
    ],
    ids=[
        "ping", "ready", "metrics", "info", "nowhere", "verb", "plain",
        "handshake", "claim", "early", "headers",
    ],
)  # fmt: skip
async def test_every_answer_carries_the_id(node: Cluster, sent: bytes) -> None:
    async with dial(node.workers[0]) as wire:
        await wire.send(sent)
        assert (await wire.response()).headers.get("x-request-id") == "mine"


async def test_a_refusal_before_the_headers_are_read_has_an_id_too(node: Cluster) -> None:
    async with dial(node.workers[0]) as wire:
        await wire.send(b"garbage\r\n\r\n")
        response = await wire.response()
        assert response.headers["x-request-id"] == response.json["requestId"]


# --- every failure has one shape ---------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/info/", 404, "NOT_FOUND"),
        ("POST", "/claim/42", 404, "NOT_FOUND"),
        ("GET", "/INFO", 404, "NOT_FOUND"),
        ("POST", "/channel/subscribe", 404, "NOT_FOUND"),
        ("POST", "/channel/leave/news", 404, "NOT_FOUND"),
        ("POST", "/_/message", 404, "NOT_FOUND"),
        ("POST", "/_/message/channel", 404, "NOT_FOUND"),
        ("GET", "/docs/", 404, "NOT_FOUND"),
        ("GET", "/claim", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/send", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/disconnect", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/channel/subscribe/news", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/channel/unsubscribe/news", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/info", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/connect", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/connect", 405, "METHOD_NOT_ALLOWED"),
    ],
)
async def test_b31_what_is_not_there_is_refused_in_json(
    node: Cluster, method: str, path: str, status: int, code: str
) -> None:
    response = await ask(node, method, path)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    content = response.json()
    assert set(content) == {"success", "error", "errorCode", "requestId"}
    assert (content["success"], content["errorCode"]) == (False, code)
    assert content["error"]
    assert ("allow" in response.headers) == (status == 405)


async def test_a_failure_of_ours_is_a_500_that_tells_nothing() -> None:
    async def fail(_: Request) -> Response:
        raise ZeroDivisionError("secret detail")

    async with web(Rules(), Route("/fail", fail)) as address, dial(address) as wire:
        await wire.send(request("GET", "/fail", x_request_id="mine"))
        response = await wire.response()
        assert (response.status, response.code) == (500, "INTERNAL_ERROR")
        assert response.json["requestId"] == "mine"
        assert b"secret detail" not in response.body


# --- health ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_b49_ping_answers_any_verb_and_wants_no_token(node: Cluster, method: str) -> None:
    response = await ask(node, method, "/ping")
    assert (response.status_code, response.text) == (200, "pong")


async def test_head_ping_has_no_body(node: Cluster) -> None:
    response = await ask(node, "HEAD", "/ping")
    assert (response.status_code, response.content) == (200, b"")


async def test_ready_wants_no_token(node: Cluster) -> None:
    response = await ask(node, "GET", "/ready")
    assert (response.status_code, response.json()) == (200, {"success": True})


async def test_a_node_that_drains_answers_but_is_not_ready() -> None:
    async with memory_cluster(drain_duration=0.0) as node:
        assert "dsock_ready 1.0" in (await ask(node, "GET", "/metrics")).text.splitlines()
        await node.nodes[0].drain()
        assert "dsock_ready 0.0" in (await ask(node, "GET", "/metrics")).text.splitlines()
        ready = await ask(node, "GET", "/ready")
        assert (ready.status_code, ready.json()["errorCode"]) == (503, "SHUTTING_DOWN")
        assert (await ask(node, "GET", "/ping")).text == "pong"


async def test_ready_says_503_while_clients_may_still_come_in() -> None:
    async with memory_cluster(drain_delay=30.0) as node:
        drain = asyncio.create_task(node.nodes[0].drain())
        while (await ask(node, "GET", "/ready")).status_code == 200:
            pass
        async with node.client("42") as client:
            await node.api.send("still here", user="42")
            assert await client.recv() == "still here"
        drain.cancel()


async def test_metrics_are_prometheus_text_without_a_token(node: Cluster) -> None:
    async with node.client("42"):
        response = await ask(node, "GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "dsock_connections 1.0" in response.text.splitlines()


async def test_metrics_do_not_grow_with_what_callers_invent(node: Cluster) -> None:
    for path in ("/invented-1", "/channel/subscribe/invented-2", "/info?user=invented-3"):
        await ask(node, "POST", path)
    assert "invented" not in (await ask(node, "GET", "/metrics")).text


async def test_an_internal_port_has_what_the_public_one_then_hides() -> None:
    internal = free_port()
    async with memory_cluster(internal_port=internal) as node, httpx.AsyncClient() as anyone:
        for path in ("/ready", "/metrics"):
            assert (await ask(node, "GET", path)).status_code == 404
            inside = await anyone.get(f"http://127.0.0.1:{internal}{path}")
            assert inside.status_code == 200
        assert (await ask(node, "GET", "/ping")).text == "pong"
        for path in ("/info", "/connect"):
            assert (await anyone.get(f"http://127.0.0.1:{internal}{path}")).status_code == 404
