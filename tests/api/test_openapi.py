"""The document itself: valid, and true to the code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from starlette.routing import Route

from dsock import __version__, names
from dsock.api.openapi import document
from dsock.api.openapi.hints import HINTS
from dsock.api.openapi.operations import ELSEWHERE, OPERATIONS
from dsock.api.openapi.parameters import CHANNEL, CLAIM_ID, MESSAGE_TYPES, NAME
from dsock.command import MessageType
from dsock.errors import DsockError
from tests.api.described import closed, require_valid, responses
from tests.support.cluster import Cluster

# --- it is valid -------------------------------------------------------------------------


def test_the_document_is_valid_openapi() -> None:
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document())] == []


@pytest.mark.parametrize("lost", ["info", "openapi"])
def test_a_document_that_is_not_valid_is_found_out(lost: str) -> None:
    made = document()
    del made[lost]
    assert list(OPENAPI_31_VALIDATOR.iter_errors(made))


def test_every_call_has_a_name_of_its_own() -> None:
    assert len({one.id for one in OPERATIONS}) == len(OPERATIONS)


def test_the_examples_are_answers() -> None:
    made = closed(document())
    checked = 0
    for call, status, response in responses(made):
        content = response.get("content", {}).get("application/json", {})
        shown = [one["value"] for one in content.get("examples", {}).values()]
        shown += [content["example"]] if "example" in content else []
        for example in shown:
            headers = {name.lower(): "" for name in response["headers"]}
            require_valid(made, call, status, example, headers)
            checked += 1
    assert checked > len(OPERATIONS)


# --- it is true to the code --------------------------------------------------------------


async def test_every_route_is_documented_and_every_call_has_a_route(node: Cluster) -> None:
    # What stands below /_/ is between nodes.
    routes = node.nodes[0].routes(with_internal=True)
    served = {
        (method, route.path.replace(":path}", "}"))
        for route in routes
        if isinstance(route, Route) and not route.path.startswith("/_/")
        for method in route.methods or ()
    }
    documented = {(one.method, one.path) for one in OPERATIONS}
    assert documented <= served
    assert {path for _, path in served} == {path for _, path in documented}


def test_every_error_that_is_answered_has_a_hint_and_no_other_has() -> None:
    answered: set[type[DsockError]] = set(ELSEWHERE)
    for one in OPERATIONS:
        answered |= set(one.all_errors)
    assert answered == set(HINTS)
    assert all(re.fullmatch(r"[^\n]+\.", hint) for hint in HINTS.values())


def test_the_document_is_of_this_version() -> None:
    assert document()["info"]["version"] == __version__


@given(st.one_of(st.text(max_size=130), st.from_regex(CLAIM_ID["pattern"])))
def test_the_rule_of_a_claim_id_is_the_documented_one(text: str) -> None:
    documented = re.search(CLAIM_ID["pattern"].replace("$", r"\Z"), text) is not None
    assert accepted(names.claim_id, text) == documented


@pytest.mark.parametrize(
    ("rule", "schema"), [(names.user_name, NAME), (names.channel_name, CHANNEL)]
)
@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_the_rule_of_a_name_is_the_documented_one(
    rule: Callable[[str], str], schema: dict[str, Any], text: str
) -> None:
    documented = re.search(schema["pattern"].replace("$", r"\Z"), text) is not None
    assert accepted(rule, text) == documented


def accepted(rule: Callable[[str], str], text: str) -> bool:
    try:
        rule(text)
    except DsockError:
        return False
    return True


def test_every_type_of_a_message_is_documented() -> None:
    assert {MessageType.of(text) for text in MESSAGE_TYPES} == set(MessageType)
