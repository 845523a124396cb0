"""What an API makes of the answers of workers, and of their absence."""

from __future__ import annotations

from dsock.backends.redis.publisher import _Awaited
from dsock.report import Outcome, Report


def test_who_has_answered_is_not_missed_though_the_way_there_seems_lost() -> None:
    awaited = _Awaited(("one", "other"))
    awaited.answer("one", Outcome(3, 0))
    awaited.answer("other", Outcome(2, 0))
    # Its letter was taken, and the connection that would have said so was reset.
    awaited.give_up("other")
    assert awaited.result() == Report(workers=2, connections=5)


def test_who_answers_after_all_is_missed_no_longer() -> None:
    awaited = _Awaited(("one",))
    awaited.give_up("one")
    assert awaited.result() == Report(workers=1, unanswered=1)
    awaited.answer("one", Outcome(1, 0))
    assert awaited.result() == Report(workers=1, connections=1)
