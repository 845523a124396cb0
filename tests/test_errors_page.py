"""docs/errors.md: every code there is, and no other."""

from __future__ import annotations

import re

import pytest

from dsock import errors
from dsock.api.openapi import hints
from dsock.errors import DsockError
from scripts.errors_table import FAMILIES, NOT_HERE, PAGE, page

# Named in the README of the Go dSock.
OF_GO = {
    "CLAIM_ID_ALREADY_USED",
    "ERROR_CHECKING_CLAIM",
    "ERROR_GETTING_CHANNEL",
    "ERROR_GETTING_CLAIM",
    "ERROR_GETTING_CONNECTION",
    "ERROR_GETTING_USER",
    "ERROR_MARSHALLING_MESSAGE",
    "ERROR_READING_MESSAGE",
    "EXPIRED_CLAIM",
    "INVALID_AUTHORIZATION",
    "INVALID_DURATION",
    "INVALID_EXPIRATION",
    "INVALID_JWT",
    "INVALID_MESSAGE_TYPE",
    "MISSING_AUTHENTICATION",
    "MISSING_CLAIM",
    "MISSING_TARGET",
    "NEGATIVE_DURATION",
    "NEGATIVE_EXPIRATION",
    "USER_ID_REQUIRED",
}
# Answered by it without being named there.
UNDOCUMENTED_IN_GO = {
    "ERROR_BINDING_QUERY_PARAMS",
    "ERROR_DELIVERING_MESSAGING",
    "ERROR_REACHING_WORKER",
    "INVALID_CONTENT_TYPE",
}


def codes_of_the_source() -> set[str]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return {kind.code for kind in kinds if issubclass(kind, DsockError)}


def rows() -> set[str]:
    return set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE.read_text(), re.MULTILINE))


def listed() -> set[str]:
    return set(re.findall(r"^\* `([A-Z_]+)`: ", PAGE.read_text(), re.MULTILINE))


def test_b83_every_code_of_the_source_is_in_the_docs_and_the_other_way_round() -> None:
    assert rows() | FAMILIES.keys() == codes_of_the_source()
    assert rows().isdisjoint(FAMILIES)
    assert listed() == FAMILIES.keys() | NOT_HERE.keys()


def test_b83_every_code_of_the_go_dsock_is_answered_or_said_not_to_be() -> None:
    assert rows() | listed() >= OF_GO | UNDOCUMENTED_IN_GO
    assert codes_of_the_source().isdisjoint(NOT_HERE)


def test_b83_the_page_is_what_the_code_makes_of_it() -> None:
    assert PAGE.read_text() == page()


def test_b83_a_code_that_no_call_answers_stops_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "Lost", type("Lost", (DsockError,), {}), raising=False)
    with pytest.raises(SystemExit, match="LOST"):
        page()


def test_b83_an_error_without_a_hint_stops_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(hints.HINTS, errors.InvalidUser)
    with pytest.raises(KeyError, match="InvalidUser"):
        page()
