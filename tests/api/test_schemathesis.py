"""schemathesis reads the document and tries to catch a running node at something else."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import jwt
import pytest
import pytest_asyncio
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from dsock.api.openapi import document
from tests.api.described import closed
from tests.support.cluster import JWT_SECRET, TOKEN, Cluster, memory_cluster, node_up
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

EXAMPLES = 20
"""Requests a call, beside those at the limits of its parameters."""

ANY_METHOD = ["/ping", "/ready", "/metrics"]
# They ask whether a request was accepted that the document forbids, or the other way round:
# a name may have 255 bytes, which JSON Schema can only count as characters; an unknown or
# empty parameter is ignored; a body may be anything.
NOT_ASKED = ["negative_data_rejection", "positive_data_acceptance", "missing_required_header"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Cluster]:
    async with memory_cluster() as cluster:
        yield cluster


@pytest.mark.parametrize("backend", ["memory", "redis"])
async def test_a_node_answers_what_the_document_says_and_nothing_else(
    redis_session: RedisServer, backend: str
) -> None:
    redis_session.empty()
    settings = redis_session.options if backend == "redis" else {}
    async with node_up("serve", **settings) as (_, address), regulars(address):
        seen = await examined(f"http://{address}", document(), EXAMPLES)
    assert seen.failures == []
    paths = document()["paths"]
    assert seen.asked == {f"{verb.upper()} {path}" for path in paths for verb in paths[path]}
    # What was described is not only the answer to who finds nobody.
    assert seen.found == {
        "GET /info",
        "POST /send",
        "POST /disconnect",
        "POST /channel/subscribe/{channel}",
        "POST /channel/unsubscribe/{channel}",
    }


@pytest.mark.parametrize("status", ["200", "400"])
async def test_a_document_without_a_status_that_is_answered_is_found_out(
    node: Cluster, status: str
) -> None:
    made = document()
    del made["paths"]["/info"]["get"]["responses"][status]
    assert await titles(node, made, "/info") == {"Undocumented status code"}


async def test_b83_a_document_without_a_code_that_is_answered_is_found_out(node: Cluster) -> None:
    made = document()
    answer = made["paths"]["/info"]["get"]["responses"]["400"]["content"]["application/json"]
    answer["schema"]["allOf"][1]["properties"]["errorCode"]["enum"].remove("MISSING_TARGET")
    assert await titles(node, made, "/info") == {"Response violates schema"}


async def test_a_document_without_a_field_that_is_answered_is_found_out(node: Cluster) -> None:
    made = document()
    answer = made["paths"]["/info"]["get"]["responses"]["200"]["content"]["application/json"]
    del answer["schema"]["properties"]["claims"]
    answer["schema"]["required"].remove("claims")
    assert await titles(node, made, "/info") == {"Response violates schema"}


async def test_a_document_with_a_header_that_is_not_answered_is_found_out(node: Cluster) -> None:
    made = document()
    made["paths"]["/ping"]["get"]["responses"]["200"]["headers"]["X-More"] = {
        "required": True,
        "schema": {"type": "string"},
    }
    assert await titles(node, made, "/ping") == {"Missing required response headers"}


async def titles(node: Cluster, made: dict[str, Any], path: str) -> set[str]:
    """What is found wrong with the document of one path."""
    made["paths"] = {path: made["paths"][path]}
    seen = await examined(node.api.url, made, 5)
    return {failure.title for failure in seen.failures}


@asynccontextmanager
async def regulars(address: str) -> AsyncIterator[None]:
    """Whom the document's examples name is connected, and comes back when he is thrown out."""
    payload = {"sub": "42", "sid": "a", "channels": ["news", "sport"], "exp": time.time() + 3600}
    url = f"ws://{address}/connect?jwt={jwt.encode(payload, JWT_SECRET)}"
    there = asyncio.Event()

    async def come_again() -> None:
        while True:
            async with connect(url) as client:
                there.set()
                with suppress(ConnectionClosed):
                    while True:
                        await client.recv()

    coming = asyncio.create_task(come_again())
    await asyncio.wait_for(there.wait(), 10)
    yield
    coming.cancel()
    await eventually(coming.done)


class Seen(NamedTuple):
    """The calls that were tried, all that was wrong with what they answered, and the calls that
    found a connection."""

    asked: set[str]
    failures: list[Failure]
    found: set[str]


async def examined(url: str, made: dict[str, Any], examples: int) -> Seen:
    """What comes of it when the node at this URL is asked by this document."""
    return await asyncio.to_thread(_examined, url, closed(made), examples)


def _examined(url: str, made: dict[str, Any], examples: int) -> Seen:
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "base-url": url,
            "headers": {"Authorization": f"Bearer {TOKEN}"},
            "continue-on-failure": True,
            "generation": {
                "deterministic": True,
                "max-examples": examples,
                "database": "none",
                "no-shrink": True,
            },
            "checks": {name: {"enabled": False} for name in NOT_ASKED},
            "phases": {"stateful": {"enabled": False}},
            "operations": [
                {"include-path": path, "checks": {"unsupported_method": {"enabled": False}}}
                for path in ANY_METHOD
            ],
        }
    )
    schema = schemathesis.openapi.from_dict(made, config=config)
    seen = Seen(set(), [], set())
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            raise event.value
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.ScenarioFinished):
            for one in event.recorder.interactions.values():
                seen.asked.add(event.recorder.label)
                if one.response and _found(one.response.content):
                    seen.found.add(event.recorder.label)
            seen.failures.extend(
                check.failure_info.failure
                for checks in event.recorder.checks.values()
                for check in checks
                if check.failure_info
            )
    return seen


def _found(answer: bytes) -> bool:
    # Whether a report or a list has a connection.
    content = json.loads(answer) if answer.startswith(b"{") else {}
    return bool(content.get("report", content).get("connections"))
