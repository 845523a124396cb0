"""Claims: who may ask for what, and for how long it holds."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock import names
from dsock.claim import YEAR_10000, Claim, claim_request, jwt_claim, new_claim_id
from dsock.errors import (
    DsockError,
    InvalidChannel,
    InvalidClaimId,
    InvalidDuration,
    InvalidExpiration,
    InvalidJwt,
    InvalidSession,
    InvalidUser,
    NegativeDuration,
    NegativeExpiration,
    UserIdRequired,
)

NOW = 1_700_000_000.25


def test_a_claim_has_what_was_asked_for() -> None:
    asked = {"user": "u", "session": "s", "channels": "a,b,,a", "id": "chosen-id", "duration": "9"}
    claim = claim_request(asked.get, NOW).claim
    assert claim == Claim("chosen-id", "u", "s", ("a", "b"), 1_700_000_009)


def test_an_empty_parameter_counts_as_absent() -> None:
    empty = dict.fromkeys(["session", "channels", "id", "expiration", "duration"], "")
    request = claim_request({"user": "u", **empty}.get, NOW)
    assert (request.claim.session, request.claim.channels, request.lifetime) == (None, (), 60)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({}, UserIdRequired),
        ({"user": ""}, UserIdRequired),
        ({"session": "s"}, UserIdRequired),
        ({"user": "\x00"}, InvalidUser),
        ({"user": "x" * 256}, InvalidUser),
        ({"user": "u", "session": "a\nb"}, InvalidSession),
        ({"user": "u", "channels": "a,\x1f"}, InvalidChannel),
        ({"user": "u", "channels": "a," + "x" * 256}, InvalidChannel),
        ({"user": "u", "id": "a"}, InvalidClaimId),
    ],
)
def test_a_claim_with_a_wrong_name_is_refused(
    asked: dict[str, str], error: type[DsockError]
) -> None:
    with pytest.raises(error):
        claim_request(asked.get, NOW)


@pytest.mark.parametrize(
    ("asked", "expiration", "lifetime"),
    [
        ({}, 1_700_000_060, 60),
        ({"duration": "10"}, 1_700_000_010, 10),
        ({"duration": "+5"}, 1_700_000_005, 5),
        ({"duration": "0010"}, 1_700_000_010, 10),
        ({"duration": "10000000000"}, 11_700_000_000, 10**10),
        ({"expiration": "1700000001"}, 1_700_000_001, 0.75),
        ({"expiration": "253402300799"}, YEAR_10000 - 1, YEAR_10000 - 1 - NOW),
        ({"expiration": "1700000002", "duration": "99"}, 1_700_000_002, 1.75),
        ({"expiration": "1700000002", "duration": "nonsense"}, 1_700_000_002, 1.75),
    ],
)
def test_a_claim_lives_as_long_as_was_asked_or_a_minute(
    asked: dict[str, str], expiration: int, lifetime: float
) -> None:
    request = claim_request({"user": "u", **asked}.get, NOW)
    assert (request.claim.expiration, request.lifetime) == (expiration, lifetime)


def test_b35_a_claim_for_one_second_lives_one_whole_second() -> None:
    late_in_the_second = 1_700_000_000.999
    assert claim_request({"user": "u", "duration": "1"}.get, late_in_the_second).lifetime == 1


@pytest.mark.parametrize(
    "text", ["x", "1.5", "1e12", "1_700_000_100", " 1700000100", "٣", "²", "+", "-", "-x", "0x10"]
)
@pytest.mark.parametrize(
    ("name", "error"), [("expiration", InvalidExpiration), ("duration", InvalidDuration)]
)
def test_a_time_that_is_no_whole_number_is_invalid(
    name: str, error: type[DsockError], text: str
) -> None:
    with pytest.raises(error):
        claim_request({"user": "u", name: text}.get, NOW)


@pytest.mark.parametrize("text", ["0", "-0", "+0", "000", "-1", "-9999999999999999999", "-01"])
@pytest.mark.parametrize(
    ("name", "error"), [("expiration", NegativeExpiration), ("duration", NegativeDuration)]
)
def test_a_time_of_zero_or_less_is_negative(name: str, error: type[DsockError], text: str) -> None:
    with pytest.raises(error):
        claim_request({"user": "u", name: text}.get, NOW)


@pytest.mark.parametrize("text", ["1", "1699999999", "1700000000"])
def test_an_expiration_in_the_past_is_invalid(text: str) -> None:
    with pytest.raises(InvalidExpiration):
        claim_request({"user": "u", "expiration": text}.get, NOW)


@pytest.mark.parametrize("text", ["253402300800", "1000000000000", "9" * 19, "9" * 5000])
def test_b56_an_expiration_after_the_year_9999_is_invalid(text: str) -> None:
    with pytest.raises(InvalidExpiration):
        claim_request({"user": "u", "expiration": text}.get, NOW)


@pytest.mark.parametrize("text", ["251702300800", "1000000000000", str(2**63 - 1), "9" * 5000])
def test_b55_a_duration_that_ends_after_the_year_9999_is_invalid(text: str) -> None:
    with pytest.raises(InvalidDuration):
        claim_request({"user": "u", "duration": text}.get, NOW)


@given(
    st.dictionaries(
        st.sampled_from(["expiration", "duration"]),
        st.one_of(st.text(), st.integers().map(str), st.integers(0, 2 * YEAR_10000).map(str)),
    )
)
def test_b55_a_claim_is_refused_or_ends_in_the_future(asked: dict[str, str]) -> None:
    try:
        request = claim_request({"user": "u", **asked}.get, NOW)
    except (InvalidExpiration, NegativeExpiration, InvalidDuration, NegativeDuration):
        return
    assert request.lifetime > 0
    assert NOW < request.claim.expiration < YEAR_10000


def test_b50_a_fresh_claim_id_is_long_safe_and_like_no_other() -> None:
    ids = {new_claim_id() for _ in range(100_000)}
    assert len(ids) == 100_000
    assert all(len(names.claim_id(id)) * 6 >= 128 for id in ids)
    assert all(id[0].isalnum() for id in ids)  # On a command line a hyphen begins an option.


def test_two_claims_without_an_id_get_different_ones() -> None:
    first, second = (claim_request({"user": "u"}.get, NOW).claim.id for _ in range(2))
    assert first != second


@given(st.lists(st.text("abc:-* ", min_size=1), unique=True))
def test_b58_channels_come_back_as_they_were_stored(channels: list[str]) -> None:
    claim = Claim("id", "u", None, tuple(channels), 0)
    assert names.channel_list(claim.channels_text()) == claim.channels


@pytest.mark.parametrize(
    ("channel", "subscribed", "channels"),
    [
        ("c", True, ("a", "b", "c")),
        ("a", True, ("a", "b")),
        ("a", False, ("b",)),
        ("c", False, ("a", "b")),
    ],
)
def test_a_claim_goes_in_and_out_of_channels(
    channel: str, subscribed: bool, channels: tuple[str, ...]
) -> None:
    claim = Claim("id", "u", "s", ("a", "b"), 9)
    assert claim.with_channel(channel, subscribed) == Claim("id", "u", "s", channels, 9)


# --- the payload of a JWT ------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "claim"),
    [
        ({"sub": "u", "exp": NOW + 5}, Claim("", "u", None, (), 1_700_000_005)),
        ({"sub": "u", "iat": NOW}, Claim("", "u", None, (), 1_700_000_060)),
        ({"sub": "u", "exp": NOW + 5, "iat": 0}, Claim("", "u", None, (), 1_700_000_005)),
        (
            {"sub": "u", "sid": "s", "channels": ["b", "a", "b"], "exp": NOW + 5},
            Claim("", "u", "s", ("b", "a"), 1_700_000_005),
        ),
        ({"sub": "u", "sid": "", "exp": NOW + 5}, Claim("", "u", None, (), 1_700_000_005)),
        ({"sub": "u", "exp": YEAR_10000 - 1}, Claim("", "u", None, (), YEAR_10000 - 1)),
    ],
)
def test_a_good_payload_is_a_claim(payload: dict[str, Any], claim: Claim) -> None:
    assert jwt_claim(payload, NOW) == claim


@pytest.mark.parametrize(
    "dates",
    [
        {"exp": NOW - 9},
        {"exp": NOW + 60, "iat": NOW + 9},
        {"iat": NOW + 5},
        {"iat": NOW - 59},
        {"exp": NOW + 60, "nbf": NOW + 9},
    ],
)
def test_b06_a_clock_may_be_off_by_ten_seconds(dates: dict[str, float]) -> None:
    assert jwt_claim({"sub": "u", **dates}, NOW).user == "u"


@pytest.mark.parametrize(
    "dates",
    [
        {"exp": NOW - 10},
        {"exp": 0},
        {"exp": NOW - 11, "iat": NOW},
        {"exp": NOW + 60, "iat": NOW + 11},
        {"iat": NOW + 60},
        {"exp": NOW + 60, "nbf": NOW + 11},
    ],
)
def test_b06_a_clock_may_not_be_off_by_more(dates: dict[str, float]) -> None:
    with pytest.raises(InvalidJwt):
        jwt_claim({"sub": "u", **dates}, NOW)


@pytest.mark.parametrize("dates", [{}, {"nbf": NOW}, {"iat": NOW - 60}, {"iat": NOW - 61}])
def test_b04_no_payload_is_good_for_ever(dates: dict[str, float]) -> None:
    with pytest.raises(InvalidJwt):
        jwt_claim({"sub": "u", **dates}, NOW)


@pytest.mark.parametrize("sub", [None, "", 1, True, ["u"], {"u": 1}, "a\nb", "x" * 256, "\ud800"])
def test_b05_a_sub_that_names_nobody_is_refused(sub: Any) -> None:
    with pytest.raises(InvalidJwt):
        jwt_claim({"sub": sub, "exp": NOW + 60}, NOW)


def test_b05_a_payload_without_sub_is_refused() -> None:
    with pytest.raises(InvalidJwt):
        jwt_claim({"exp": NOW + 60}, NOW)


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "1700000060", True, False, [1_700_000_060], {}),
        *(math.nan, math.inf, -math.inf, -1, YEAR_10000, 10**12, 10**400),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_date_that_is_no_time_before_the_year_10000_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidJwt):
        jwt_claim({"sub": "u", "exp": NOW + 60, name: value}, NOW)


@pytest.mark.parametrize("sid", [None, 0, 1, False, [], ["s"], {}, "a\nb", "x" * 256])
def test_a_sid_that_is_no_session_is_refused(sid: Any) -> None:
    with pytest.raises(InvalidJwt):
        jwt_claim({"sub": "u", "sid": sid, "exp": NOW + 60}, NOW)


@pytest.mark.parametrize(
    "channels", [None, "", "a", 1, {"a": 1}, [1], [None], [["a"]], ["a", ""], ["\x00"]]
)
def test_channels_that_are_no_list_of_names_are_refused(channels: Any) -> None:
    with pytest.raises(InvalidJwt):
        jwt_claim({"sub": "u", "channels": channels, "exp": NOW + 60}, NOW)


def test_b58_a_channel_with_a_comma_is_refused_in_a_jwt_too() -> None:
    with pytest.raises(InvalidJwt):
        jwt_claim({"sub": "u", "channels": ["a", "b,c"], "exp": NOW + 60}, NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
payloads = st.dictionaries(
    st.sampled_from(["sub", "sid", "channels", "exp", "iat", "nbf"]), json_values
)


@given(json_values | payloads)
def test_whatever_a_payload_is_it_is_a_claim_or_refused(payload: Any) -> None:
    try:
        claim = jwt_claim(payload, NOW)
    except InvalidJwt:
        return
    assert names.user_name(claim.user)
    assert claim.expiration < YEAR_10000
