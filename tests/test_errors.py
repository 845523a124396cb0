"""Errors: each has a status, a code and one whole sentence."""

from __future__ import annotations

import re
from collections import defaultdict
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock import errors
from dsock.errors import DsockError, WorkerUnanswered
from dsock.report import Report

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DsockError)
]


def made(kind: type[DsockError]) -> DsockError:
    return WorkerUnanswered(Report(1)) if kind is WorkerUnanswered else kind()


every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@every
def test_an_error_has_a_status_that_http_knows(kind: type[DsockError]) -> None:
    assert HTTPStatus(kind.status).value >= 400


@every
def test_an_error_has_a_code_in_capitals(kind: type[DsockError]) -> None:
    assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", kind.code)


@every
def test_an_error_has_one_whole_sentence_for_the_caller(kind: type[DsockError]) -> None:
    assert re.fullmatch(r"[^\n]+\.", made(kind).message)


def test_a_code_names_one_error() -> None:
    named = defaultdict(set)
    for kind in KINDS:
        named[kind.code].add(kind.__name__)
    shared = {code: kinds for code, kinds in named.items() if len(kinds) > 1}
    assert shared == {
        # Documented for a bad parameter as well as for a stored claim that cannot be read.
        "INVALID_EXPIRATION": {"InvalidExpiration", "ClaimExpirationUnreadable"},
        # Without a secret a JWT is no authentication; but that has to be said.
        "MISSING_AUTHENTICATION": {"MissingAuthentication", "JwtNotEnabled"},
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "USER_ID_REQUIRED"),
        (400, "MISSING_TARGET"),
        (400, "INVALID_EXPIRATION"),
        (400, "NEGATIVE_EXPIRATION"),
        (400, "INVALID_DURATION"),
        (400, "NEGATIVE_DURATION"),
        (400, "CLAIM_ID_ALREADY_USED"),
        (400, "INVALID_MESSAGE_TYPE"),
        (400, "ERROR_READING_MESSAGE"),
        (400, "INVALID_HANDSHAKE"),
        (401, "INVALID_AUTHORIZATION"),
        (401, "MISSING_AUTHENTICATION"),
        (401, "MISSING_CLAIM"),
        (401, "EXPIRED_CLAIM"),
        (401, "INVALID_EXPIRATION"),
        (401, "INVALID_JWT"),
        (403, "ORIGIN_REFUSED"),
        (404, "NOT_FOUND"),
        (405, "METHOD_NOT_ALLOWED"),
        (413, "MESSAGE_TOO_LARGE"),
        (426, "UPGRADE_REQUIRED"),
        (431, "HEADERS_TOO_LARGE"),
        (503, "ERROR_CHECKING_CLAIM"),
        (503, "ERROR_GETTING_CLAIM"),
        (503, "ERROR_GETTING_CONNECTION"),
        (503, "ERROR_GETTING_USER"),
        (503, "ERROR_GETTING_CHANNEL"),
        (504, "WORKER_UNANSWERED"),
    ],
)
def test_b83_a_documented_code_comes_with_its_status(status: int, code: str) -> None:
    assert (status, code) in {(kind.status, kind.code) for kind in KINDS}


@pytest.mark.parametrize("kind", [DsockError, errors.MissingTarget, errors.Unavailable])
@given(detail=st.text(st.characters(codec="utf-8")))
def test_b71_an_error_can_always_be_shown(kind: type[DsockError], detail: str) -> None:
    assert detail.strip() in str(kind(detail))


def test_b71_an_error_without_a_sentence_of_its_own_can_be_shown() -> None:
    class Plain(DsockError):
        pass

    assert str(Plain("Because.")).endswith("Because.")


def test_a_worker_that_did_not_answer_leaves_its_report() -> None:
    report = Report(workers=2, connections=1, unanswered=1)
    assert WorkerUnanswered(report).report == report


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        (errors.InvalidAuthorization, "WWW-Authenticate"),
        (errors.InvalidJwt, "WWW-Authenticate"),
        (errors.UpgradeRequired, "Upgrade"),
        (errors.InvalidHandshake, "Sec-WebSocket-Version"),
    ],
)
def test_a_refusal_says_in_a_header_what_would_be_accepted(
    kind: type[DsockError], header: str
) -> None:
    assert kind.headers[header]
