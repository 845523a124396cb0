"""What is made of the rounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.figures import Figure, Sample, Wanted, interleaved, percentile

FIGURE = Figure(
    shape="channel",
    place="memory",
    name="one at a time",
    unit="deliveries/s",
    samples=(Sample(50.0, cpu=3.0), Sample(80.0, cpu=1.0), Sample(90.0, cpu=2.0)),
    floor="a loop",
    floor_samples=(Sample(100.0), Sample(200.0), Sample(100.0)),
)


def test_a_percentile_is_one_of_the_values() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert percentile(hundred, 0.5) == 50.0
    assert percentile(hundred, 0.99) == 99.0
    assert percentile(hundred, 1.0) == 100.0
    assert percentile([7.0], 0.01) == 7.0


def test_the_median_of_the_rounds_counts() -> None:
    assert FIGURE.value == 80.0
    assert FIGURE.floor_value == 100.0
    assert FIGURE.cpu == 2.0


def test_a_ratio_is_taken_within_each_round() -> None:
    assert FIGURE.ratio == 0.5


def test_without_a_floor_there_is_no_ratio() -> None:
    assert replace(FIGURE, floor_samples=()).ratio is None


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (None, None),
        (Wanted("ratio", least=0.5), True),
        (Wanted("ratio", least=0.6), False),
        (Wanted("value", least=81.0), False),
        (Wanted("value", most=80.0), True),
    ],
)
def test_whether_it_is_as_wanted_is_computed(wanted: Wanted | None, holds: bool | None) -> None:
    assert replace(FIGURE, wanted=wanted).holds is holds


def test_the_generator_is_named_as_the_limit_when_it_was_busy_in_most_rounds() -> None:
    busy, free = Sample(1.0, generator=0.95), Sample(1.0, generator=0.5)
    assert replace(FIGURE, samples=(busy, free, busy)).generator_limits
    assert not replace(FIGURE, samples=(busy, free, free)).generator_limits


def test_floor_and_measurement_take_turns() -> None:
    order = []

    def measure(name: str) -> Sample:
        order.append(name)
        return Sample(float(len(order)))

    taken = interleaved(2, {"a": lambda: measure("a"), "b": lambda: measure("b")})
    assert order == ["a", "b", "a", "b"]
    assert [one.value for one in taken["b"]] == [2.0, 4.0]
