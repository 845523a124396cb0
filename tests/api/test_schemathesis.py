"""schemathesis reads the document and tries to catch a running node at something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema

from dsock.api.openapi import document
from tests.api.described import closed
from tests.support.cluster import TOKEN, Cluster, memory_cluster

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


async def test_a_node_answers_what_the_document_says_and_nothing_else(node: Cluster) -> None:
    asked, failures = await examined(node, document(), EXAMPLES)
    assert failures == []
    paths = document()["paths"]
    assert asked == {f"{verb.upper()} {path}" for path in paths for verb in paths[path]}


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
    _, failures = await examined(node, made, 5)
    return {failure.title for failure in failures}


async def examined(
    node: Cluster, made: dict[str, Any], examples: int
) -> tuple[set[str], list[Failure]]:
    """The calls that were tried, and all that was wrong with what they answered."""
    return await asyncio.to_thread(_examined, node.api.url, closed(made), examples)


def _examined(url: str, made: dict[str, Any], examples: int) -> tuple[set[str], list[Failure]]:
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
    asked: set[str] = set()
    failures: list[Failure] = []
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            raise event.value
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.ScenarioFinished):
            if event.recorder.interactions:
                asked.add(event.recorder.label)
            failures += [
                check.failure_info.failure
                for checks in event.recorder.checks.values()
                for check in checks
                if check.failure_info
            ]
    return asked, failures
