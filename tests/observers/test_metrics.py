"""What `/metrics` shows, and from when on."""

from __future__ import annotations

from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dsock.close import Goodbye
from dsock.command import Command
from dsock.events import CommandAnswered, ConnectionClosed, Event, FailuresLimited, telling
from dsock.observers.metrics import Metrics


def shown(metrics: Metrics) -> dict[str, float]:
    """Counters with labels by one label's value, and all else by name."""
    text = metrics.expose()[0].decode()
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


VERBS = [verb.__name__.lower() for verb in get_args(Command)]

FIRST = [
    *(
        pytest.param(
            f"dsock_connections_closed_total {one.name.lower()}",
            ConnectionClosed("id", "user", one),
            id=one.name,
        )
        for one in Goodbye
    ),
    *(
        pytest.param(f"dsock_{counted}_total {verb}", CommandAnswered(verb, 1, 0, 1))
        for verb in VERBS
        for counted in ("commands", "unanswered")
    ),
    *(
        pytest.param(f"dsock_failures_limited_total {what}", FailuresLimited("::1", what))
        for what in ("tokens", "credentials")
    ),
]


@pytest.mark.parametrize(("series", "event"), FIRST)
def test_the_first_of_its_kind_shows_as_growth(series: str, event: Event) -> None:
    metrics = Metrics(lambda: True)
    assert shown(metrics)[series] == 0
    telling(metrics.interests())(event)
    assert shown(metrics)[series] == 1


def test_what_is_ready_says_so() -> None:
    ready = True
    metrics = Metrics(lambda: ready)
    assert shown(metrics)["dsock_ready"] == 1
    ready = False
    assert shown(metrics)["dsock_ready"] == 0
