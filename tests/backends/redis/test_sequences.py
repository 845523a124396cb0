"""Gaps in what a mailbox has brought are counted, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsock.backends.redis.sequences import (
    MAX_MAILBOXES,
    MAX_PUBLISHERS,
    HeardLetters,
    PublishedLetters,
)


def heard(
    incoming: HeardLetters, *numbers: int, own: bool = True, publisher: str = "api"
) -> list[int]:
    """How many were missing before each of these."""
    return [
        incoming.missing("mailbox", publisher, number, from_the_start=own) for number in numbers
    ]


@given(st.lists(st.booleans()))
def test_all_that_was_lost_before_the_last_that_arrived_is_counted(arrives: list[bool]) -> None:
    incoming, outgoing = HeardLetters(), PublishedLetters()
    published = [(outgoing.next("mailbox"), one) for one in [*arrives, True]]
    counted = sum(heard(incoming, *(number for number, one in published if one)))
    assert counted == arrives.count(False)


def test_mailboxes_and_publishers_are_counted_apart() -> None:
    incoming, outgoing = HeardLetters(), PublishedLetters()
    assert [outgoing.next(name) for name in ("a", "b", "a", "b")] == [1, 1, 2, 2]
    assert heard(incoming, 1, 2) + heard(incoming, 1, 3, publisher="other") == [0, 0, 0, 1]
    assert incoming.missing("other", "api", 2, from_the_start=True) == 1


def test_who_joins_a_mailbox_that_others_read_has_missed_nothing_before() -> None:
    assert heard(HeardLetters(), 70, 71, 73, own=False) == [0, 0, 1]


def test_a_publisher_that_counts_anew_is_believed() -> None:
    assert heard(HeardLetters(), 1, 2, 3, 1, 2, 4) == [0, 0, 0, 0, 0, 1]


def test_a_letter_with_a_lower_number_than_one_before_comes_too_late() -> None:
    incoming = HeardLetters()
    taken = [incoming.in_time("api", number) for number in (1, 3, 2, 3, 4)]
    assert taken == [True, True, False, False, True]
    assert incoming.in_time("other", 2)


def test_an_api_remembers_the_mailboxes_it_uses_and_no_more_than_so_many() -> None:
    outgoing = PublishedLetters()
    for number in range(2 * MAX_MAILBOXES):
        outgoing.next(f"mailbox {number}")
        used = outgoing.next("used")
    assert used == 2 * MAX_MAILBOXES
    assert outgoing.next("mailbox 1") == 1
    assert len(outgoing._last) == MAX_MAILBOXES


def test_a_worker_remembers_the_publishers_it_hears_and_no_more_than_so_many() -> None:
    incoming = HeardLetters()
    for number in range(1, 2 * MAX_PUBLISHERS):
        assert incoming.in_time(f"forged {number}", 1)
        heard(incoming, 1, publisher=f"forged {number}")
        assert incoming.in_time("api", number)
        assert heard(incoming, number) == [0]
    assert len(incoming._numbers) == len(incoming._sequences) == MAX_PUBLISHERS
