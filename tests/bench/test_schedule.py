"""When sends are due, and what they look like."""

from __future__ import annotations

import pytest

from bench.generator.requests import frame_size
from bench.generator.schedule import NUMBER, at_random, even, numbered


def test_even_times_are_equally_far_apart() -> None:
    assert even(4.0, 1.0) == [0.0, 0.25, 0.5, 0.75]
    assert even(4.0, 0.1) == [0.0]


def test_random_times_are_the_same_in_every_run_and_as_many_as_asked_on_average() -> None:
    times = at_random(1000.0, 10.0)
    assert times == at_random(1000.0, 10.0) == sorted(times)
    assert len(times) == pytest.approx(10_000, rel=0.05)


def test_a_body_has_its_number_and_its_size() -> None:
    body = numbered(42, 128)
    assert len(body) == 128
    assert int(body[:NUMBER]) == 42


def test_the_size_of_a_frame_is_that_of_the_product() -> None:
    from dsock.command import MessageType
    from dsock.worker.frames import Frames

    for size in (0, 125, 126, 128, 65535, 65536, 1024 * 1024):
        assert frame_size(size) == len(Frames(MessageType.TEXT, b"x" * size, None).plain)
