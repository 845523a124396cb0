"""Names: what may be one, and what a list of channels reads as."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock import names
from dsock.errors import (
    DsockError,
    InvalidChannel,
    InvalidClaimId,
    InvalidConnectionId,
    InvalidSession,
    InvalidUser,
)

Check = Callable[[str], str]

KINDS = [
    pytest.param(names.user_name, InvalidUser, id="user"),
    pytest.param(names.session_name, InvalidSession, id="session"),
    pytest.param(names.connection_id, InvalidConnectionId, id="connection"),
    pytest.param(names.channel_name, InvalidChannel, id="channel"),
]


@pytest.mark.parametrize(("check", "_error"), KINDS)
@pytest.mark.parametrize("text", ["a", "0", "a b", "a-b:c*", "é" * 127, "x" * 255, "名前", "🙂"])
def test_any_text_of_1_to_255_bytes_is_a_name(
    check: Check, _error: type[DsockError], text: str
) -> None:
    assert check(text) == text


@pytest.mark.parametrize(("check", "error"), KINDS)
@pytest.mark.parametrize(
    "text",
    ["", "x" * 256, "é" * 128, "a\nb", "\x00", "a\x1f", "\x7f", "\x80", "\x9f", "\ud800"],
)
def test_what_is_empty_long_or_unprintable_is_no_name(
    check: Check, error: type[DsockError], text: str
) -> None:
    with pytest.raises(error):
        check(text)


@pytest.mark.parametrize("text", ["a,b", ",", ",a", "a,"])
def test_b58_a_channel_with_a_comma_is_refused(text: str) -> None:
    with pytest.raises(InvalidChannel):
        names.channel_name(text)


@pytest.mark.parametrize(
    ("text", "channels"),
    [
        ("", ()),
        (",", ()),
        ("a", ("a",)),
        ("b,a", ("b", "a")),
        ("a,,b,", ("a", "b")),
        ("a,b,a", ("a", "b")),
        ("a, b", ("a", " b")),
    ],
)
def test_a_list_of_channels_keeps_order_and_drops_doubles_and_gaps(
    text: str, channels: tuple[str, ...]
) -> None:
    assert names.channel_list(text) == channels


def test_one_wrong_channel_spoils_the_list() -> None:
    with pytest.raises(InvalidChannel):
        names.channel_list("good,\x01,fine")


@given(st.lists(st.lists(st.sampled_from("abcde"))))
def test_b08_merged_names_are_all_there_each_once_in_order_of_first_mention(
    groups: list[list[str]],
) -> None:
    mentioned = [name for group in groups for name in group]
    merged = names.merged(*groups)
    assert set(merged) == set(mentioned)
    assert list(merged) == sorted(set(mentioned), key=mentioned.index)


@pytest.mark.parametrize("text", ["12345678", "Aa0-._~x", "x" * 128])
def test_a_caller_may_choose_a_claim_id_of_8_to_128_url_safe_characters(text: str) -> None:
    assert names.claim_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "a", "1234567", "x" * 129, "x" * 257),
        *("a b c d e", "a/b/c/d/e", "12345678\n", "12345678,", "1234567%", "\x00" * 8),
        *("ü" * 8, "１" * 8),
    ],
)
def test_b57_a_claim_id_that_is_short_long_or_unsafe_is_refused(text: str) -> None:
    with pytest.raises(InvalidClaimId):
        names.claim_id(text)
