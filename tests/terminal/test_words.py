"""How things read on the terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, strategies

from dsock.claim import YEAR_10000
from dsock.terminal.words import HEX_BYTES, clock, escaped, hexed, info, told, when

NOON = datetime(2026, 3, 4, 12, 0, 0).timestamp()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße, 世界 👨‍👩", "Grüße, 世界 👨‍👩"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x00\x07\x7f\x9b", "\\x00\\x07\\x7f\\x9b"),
        ("\u202egnp\u2028", "\\u202egnp\\u2028"),
        ("\U000e0001", "\\U000e0001"),
        ("\udcff", "\\udcff"),
    ],
)
def test_nothing_that_drives_a_terminal_is_left(text: str, shown: str) -> None:
    assert escaped(text) == shown


@given(strategies.text())
def test_whatever_comes_stays_on_its_line(text: str) -> None:
    shown = escaped(text)
    assert shown.translate({0x200C: None, 0x200D: None}).isprintable()
    assert escaped(shown) == shown


def test_a_binary_message_is_its_size_and_its_beginning() -> None:
    assert hexed(b"") == "[binary, 0 bytes]"
    assert hexed(b"\x00") == "[binary, 1 byte] 00"
    assert hexed(b"a" * HEX_BYTES).endswith(" 61")
    assert hexed(b"a" * (HEX_BYTES + 1)).endswith(" 61 ...")


@pytest.mark.parametrize(
    ("away", "text"),
    [
        (0, "12:00:00 (0 s ago)"),
        (-5, "11:59:55 (5 s ago)"),
        (59, "12:00:59 (in 59 s)"),
        (60, "12:01:00 (in 1 min)"),
        (-7200, "10:00:00 (2 h ago)"),
        (86400, "2026-03-05 12:00:00 (in 1 d)"),
    ],
)
def test_a_time_is_local_and_says_how_far_it_is(away: int, text: str) -> None:
    assert when(NOON + away, NOON) == text


def test_a_time_of_yesterday_has_its_day() -> None:
    assert clock(NOON - 13 * 3600, NOON) == "2026-03-03 23:00:00"


def test_the_last_second_that_can_be_written_can_be_shown() -> None:
    assert when(YEAR_10000 - 1, NOON).endswith(" d)")


@pytest.mark.parametrize(
    ("report", "parts"),
    [
        ((1, 1, 0, 0), ["sent to 1 connection on 1 worker"]),
        ((2, 3, 0, 0), ["sent to 3 connections (2 workers told)"]),
        ((0, 0, 0, 0), ["nobody is connected"]),
        ((1, 0, 0, 0), ["nobody is connected"]),
        (
            (2, 3, 1, 1),
            [
                "sent to 3 connections (2 workers told)",
                "dropped for 1 connection: too much was waiting already",
                "1 worker did not answer",
            ],
        ),
        ((1, 0, 0, 1), ["1 worker did not answer"]),
    ],
)
def test_a_report_says_what_happened_and_only_that(
    report: tuple[int, ...], parts: list[str]
) -> None:
    names = ("workers", "connections", "dropped", "unanswered")
    assert told(dict(zip(names, report, strict=True)), "sent to").split(", ") == parts


def test_columns_stand_under_each_other_whatever_the_script() -> None:
    def claim(user: str) -> dict[str, Any]:
        return {"user": user, "channels": [], "expiration": NOON}

    *_, one, two, three = info(
        {"connections": [], "claims": [claim("世界"), claim("u\u0308bel"), claim("abcd")]}, NOON
    ).splitlines()
    assert one == "  世界  -        -         12:00:00 (0 s ago)"
    assert two == "  u\u0308bel  -        -         12:00:00 (0 s ago)"
    assert three == "  abcd  -        -         12:00:00 (0 s ago)"


def test_a_name_cannot_drive_the_terminal() -> None:
    claim = {"user": "\x1b[2J", "channels": ["\n"], "expiration": NOON}
    text = info({"connections": [], "claims": [claim]}, NOON)
    assert "\\x1b[2J" in text
    assert len(text.splitlines()) == 4
