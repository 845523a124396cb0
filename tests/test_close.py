"""Goodbyes: what a close frame may carry."""

from __future__ import annotations

import pytest

from dsock.close import Goodbye

SAID = [goodbye for goodbye in Goodbye if goodbye is not Goodbye.CLIENT_LEFT]


@pytest.mark.parametrize("goodbye", SAID)
def test_a_goodbye_has_a_code_that_may_be_sent(goodbye: Goodbye) -> None:
    assert 1000 <= goodbye.code <= 1014
    assert goodbye.code not in (1004, 1005, 1006)


@pytest.mark.parametrize("goodbye", SAID)
def test_a_goodbye_has_a_reason_that_fits_a_control_frame(goodbye: Goodbye) -> None:
    assert 1 <= len(goodbye.reason.encode()) <= 123


def test_every_goodbye_is_told_apart_from_the_others() -> None:
    assert len({goodbye.value for goodbye in Goodbye}) == len(Goodbye.__members__)


@pytest.mark.parametrize(
    ("goodbye", "code"),
    [
        (Goodbye.DISCONNECTED, 1000),
        (Goodbye.PROTOCOL_ERROR, 1002),
        (Goodbye.NOT_TEXT, 1007),
        (Goodbye.NO_PONG, 1008),
        (Goodbye.TOO_BIG, 1009),
        (Goodbye.FAILED, 1011),
        (Goodbye.SHUTTING_DOWN, 1012),
        (Goodbye.LEASE_LOST, 1012),
        (Goodbye.TOO_SLOW, 1013),
    ],
)
def test_b23_the_code_tells_a_client_whether_to_come_back(goodbye: Goodbye, code: int) -> None:
    assert goodbye.code == code
