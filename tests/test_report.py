"""Reports: the sum of what workers did."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsock.report import Outcome, Report

outcomes = st.builds(Outcome, st.integers(0, 9), st.integers(0, 9))


@given(st.lists(outcomes))
def test_a_report_adds_up_what_its_workers_did(parts: list[Outcome]) -> None:
    report = Report(workers=7, unanswered=2)
    for part in parts:
        report = report.answered(part)
    connections = sum(part.connections for part in parts)
    dropped = sum(part.dropped for part in parts)
    assert report == Report(7, connections, dropped, 2)
