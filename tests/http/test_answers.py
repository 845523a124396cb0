"""Answers: their shape, and the request's id."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock import errors
from dsock.errors import DsockError, WorkerUnanswered
from dsock.http.answers import answer, failure, request_id, success
from dsock.report import Report

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DsockError) and kind is not WorkerUnanswered
]


@pytest.mark.parametrize("given_id", ["a", "!", "~", "0f8-4:x/y=z", "x" * 128])
def test_a_request_keeps_its_own_id(given_id: str) -> None:
    assert request_id(given_id) == given_id


@pytest.mark.parametrize(
    "given_id", [None, "", "x" * 129, "a b", " a", "a\n", "a\r\nb: c", "\x7f", "é", "\x00", "１"]
)
def test_a_request_without_a_fit_id_gets_a_new_one(given_id: str | None) -> None:
    new = request_id(given_id)
    assert new != given_id
    assert request_id(new) == new
    assert request_id(given_id) != new


@given(st.text())
def test_an_id_can_always_stand_in_a_header(given_id: str) -> None:
    id = request_id(given_id)
    assert 1 <= len(id) <= 128
    assert all("!" <= character <= "~" for character in id)


def test_a_success_says_so_beside_its_content() -> None:
    assert json.loads(success("r", connections=[]).body) == {"success": True, "connections": []}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_b48_a_failure_has_status_code_sentence_and_request_id(kind: type[DsockError]) -> None:
    error = kind()
    failed = failure(error, "r")
    assert failed.status == error.status
    assert json.loads(failed.body) == {
        "success": False,
        "error": error.message,
        "errorCode": error.code,
        "requestId": "r",
    }
    for name, value in error.headers.items():
        assert (name.lower().encode(), value.encode()) in failed.headers


def test_a_failure_with_a_report_shows_it() -> None:
    body = json.loads(failure(WorkerUnanswered(Report(2, 1, 0, 1)), "r").body)
    assert body["success"] is False
    assert body["report"] == {"workers": 2, "connections": 1, "dropped": 0, "unanswered": 1}


@given(st.text(st.characters(codec="utf-8")))
def test_an_answer_is_utf8_json_of_the_length_it_says(text: str) -> None:
    made = answer(200, {"text": text}, "r")
    headers = dict(made.headers)
    assert json.loads(made.body.decode()) == {"text": text}
    assert headers[b"content-length"] == str(len(made.body)).encode()
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"x-request-id"] == b"r"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_answer_for_a_raw_socket_is_head_blank_line_and_body(kind: type[DsockError]) -> None:
    made = failure(kind(), "r")
    head, _, body = made.as_http(close=True).partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert first.startswith(f"HTTP/1.1 {kind.status} ".encode())
    assert b"x-request-id: r" in lines
    assert b"connection: close" in lines
    assert body == made.body


def test_an_answer_that_is_not_the_last_does_not_say_close() -> None:
    assert b"connection: close" not in success("r").as_http(close=False)
