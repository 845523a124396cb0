"""Counting letters: pub/sub loses without an error what a subscriber reads too slowly, and
what is published while it is away.

That Redis has handed a letter on says no more than that it is in a buffer. So an API counts
what it publishes to each mailbox, and who reads the mailbox sees what is missing.
"""

from __future__ import annotations

from typing import Any

MAX_MAILBOXES = 10_000
"""Mailboxes for which an API goes on counting; the longest unused is begun anew."""

MAX_PUBLISHERS = 4096
"""API nodes of whose letters a worker remembers the last."""


class PublishedLetters:
    """What an API has published, by mailbox."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def next(self, mailbox: str) -> int:
        """The sequence of the next letter to a mailbox, from 1."""
        sequence = self._last.pop(mailbox, 0) + 1
        if len(self._last) >= MAX_MAILBOXES:
            del self._last[next(iter(self._last))]
        self._last[mailbox] = sequence
        return sequence


class HeardLetters:
    """What a worker has heard, by publisher."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._sequences: dict[tuple[str, str], int] = {}

    def in_time(self, publisher: str, number: int) -> bool:
        """Whether a letter comes after all that this publisher has numbered before it."""
        latest = self._numbers.pop(publisher, 0)
        _make_room(self._numbers)
        self._numbers[publisher] = max(latest, number)
        return number > latest

    def missing(self, mailbox: str, publisher: str, sequence: int, *, from_the_start: bool) -> int:
        """How many letters should have come to this mailbox before one that is in time, and
        did not. `from_the_start`: nobody has read the mailbox before this worker, so the
        first that it hears should be number 1."""
        latest = self._sequences.pop((mailbox, publisher), None)
        _make_room(self._sequences)
        self._sequences[mailbox, publisher] = sequence
        if latest is None and not from_the_start:
            return 0
        if latest is None or sequence <= latest:  # The publisher counts anew.
            latest = 0
        return sequence - latest - 1


def _make_room(latest: dict[Any, int]) -> None:
    if len(latest) >= MAX_PUBLISHERS:
        del latest[next(iter(latest))]
