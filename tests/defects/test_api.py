"""How the API compares secrets, and what it says of its own failures."""

from __future__ import annotations

import hmac

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from dsock.http import gate
from dsock.http.rules import Rules
from tests.support.cluster import TOKEN, memory_cluster
from tests.support.eventually import eventually
from tests.support.process import process
from tests.support.redis_server import RedisServer
from tests.support.web import web

OTHER = "the-token-before-8c1f"


class Guarded(str):
    """A secret that must not be compared by a means that tells how near a guess was."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared with ==")

    __hash__ = str.__hash__


@pytest.mark.parametrize("shown", [TOKEN, OTHER, "x", TOKEN[:-1], f"{TOKEN}x"])
async def test_b47_a_token_is_compared_with_all_and_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, shown: str
) -> None:
    compared: list[bytes] = []

    def noted(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return hmac.compare_digest(one, other)

    async with memory_cluster(token=(Guarded(TOKEN), Guarded(OTHER))) as node:
        monkeypatch.setattr(gate, "hmac", type("Noting", (), {"compare_digest": noted}))
        async with httpx.AsyncClient(base_url=node.api.url) as anyone:
            answer = await anyone.get("/info", params={"user": "u", "token": shown})
    assert answer.status_code == (200 if shown in (TOKEN, OTHER) else 401)
    assert compared == [TOKEN.encode(), OTHER.encode()]


CALLS = [
    ("POST", "/claim?user=u"),
    ("POST", "/send?user=u&type=text"),
    ("POST", "/disconnect?user=u"),
    ("POST", "/channel/subscribe/news?user=u"),
    ("POST", "/channel/unsubscribe/news?user=u"),
    ("GET", "/info?user=u"),
    ("GET", "/connect?claim=some-claim"),
]


async def test_b78_an_answer_that_blames_us_is_in_the_log_with_its_request_id() -> None:
    with RedisServer() as server:
        options = {"redis_host": server.address, "redis_max_retries": "1"}
        async with process("serve", **options) as node:
            address = await node.listening()
            server.kill()
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(base_url=f"http://{address}", headers=headers) as caller:
                for n, (method, path) in enumerate(CALLS):
                    named = {"X-Request-ID": f"call-{n}"}
                    answer = await caller.request(method, path, headers=named)
                    assert (answer.status_code, answer.json()["requestId"]) == (503, f"call-{n}")
            with pytest.raises(InvalidStatus) as refused:
                await connect(
                    f"ws://{address}/connect?claim=some-claim",
                    additional_headers={"X-Request-ID": "handshake"},
                )
            assert refused.value.response.status_code == 503

            def all_logged() -> bool:
                said = "\n".join(line for line in node.log if " level=error" in f" {line}")
                ids = [f"call-{n}" for n in range(len(CALLS))]
                return all(f"request_id={id}" in said for id in [*ids, "handshake"])

            await eventually(all_logged)


async def test_b78_a_failure_that_nobody_foresaw_is_in_the_log_with_its_request_id() -> None:
    async def fail(_: Request) -> Response:
        raise ZeroDivisionError

    with capture_logs(processors=[merge_contextvars]) as log:
        async with web(Rules(), Route("/fail", fail)) as address, httpx.AsyncClient() as caller:
            answer = await caller.get(f"http://{address}/fail", headers={"X-Request-ID": "mine"})
    assert answer.status_code == 500
    assert [line["request_id"] for line in log if line["log_level"] == "error"] == ["mine"]
