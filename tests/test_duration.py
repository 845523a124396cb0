"""Durations: the notation of Go's `time.ParseDuration`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock.duration import duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("+0", 0),
        ("-0", 0),
        ("0s", 0),
        ("60s", 60),
        ("1m30s", 90),
        ("1h0m0.5s", 3600.5),
        ("500ms", 0.5),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("1.s", 1),
        ("7us", 7e-6),
        ("7µs", 7e-6),
        ("7μs", 7e-6),
        ("9ns", 9e-9),
        ("-1s", -1),
        ("+1s", 1),
        ("1s1s", 2),
        ("1s1m", 61),
        ("-1m30s", -90),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "+", "-", "1", "60", "s", ".s", ".", "1 s", " 1s", "1s ", "1d", "1S", "1e3s"),
        *("--1s", "+-1s", "1s-1s", "1.1.1s", "0x1s", "1_0s", "infs", "nans", "00", "1sx", "1s1"),
    ],
)
def test_what_is_not_quite_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["１s", "٣s", "1.٣s"])
def test_only_ascii_digits_make_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def test_a_duration_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration("9" * 400 + "s")


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int, ms: int) -> None:
    total = hours * 3600 + minutes * 60 + seconds + ms / 1000
    assert parse_duration(f"{hours}h{minutes}m{seconds}s{ms}ms") == pytest.approx(total)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (60, "1m"),
        (90, "1m30s"),
        (3600, "1h"),
        (3600.5, "1h0.5s"),
        (7384, "2h3m4s"),
        (10, "10s"),
        (1.5, "1.5s"),
        (0.5, "500ms"),
        (0.0015, "1.5ms"),
        (7e-6, "7us"),
        (9e-9, "9ns"),
        (0.1 + 0.2, "300ms"),
    ],
)
def test_a_duration_is_written_as_a_person_would(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@given(st.integers(0, 10**15))
def test_a_duration_that_was_written_reads_the_same(nanoseconds: int) -> None:
    seconds = nanoseconds / 1e9
    assert parse_duration(duration_text(seconds)) == pytest.approx(seconds, abs=1e-9)
