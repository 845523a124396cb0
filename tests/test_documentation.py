"""What the pages of `docs` list is what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dsock.close import Goodbye
from dsock.errors import DsockError
from dsock.http.rules import Rules
from dsock.observers.metrics import Metrics
from dsock.observers.totals import Totals
from dsock.processes.board import Board

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

GO_CODES = """
USER_ID_REQUIRED INVALID_EXPIRATION NEGATIVE_EXPIRATION INVALID_DURATION NEGATIVE_DURATION
ERROR_CHECKING_CLAIM CLAIM_ID_ALREADY_USED ERROR_GETTING_CLAIM MISSING_CLAIM EXPIRED_CLAIM
INVALID_JWT MISSING_AUTHENTICATION INVALID_AUTHORIZATION ERROR_GETTING_CONNECTION ERROR_GETTING_USER
ERROR_GETTING_CHANNEL MISSING_TARGET INVALID_MESSAGE_TYPE ERROR_READING_MESSAGE
ERROR_MARSHALLING_MESSAGE
"""
"""Those of the specification that are still answered."""

GROUPS = {"UNAUTHORIZED", "UNAVAILABLE"}
"""Only their kinds are answered."""


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def codes(kind: type[DsockError] = DsockError) -> Iterator[str]:
    yield kind.code
    for child in kind.__subclasses__():
        yield from codes(child)


def test_the_codes_that_a_go_dsock_did_not_have_are_listed() -> None:
    said = page("migrating.md").partition("Codes that are new:")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([A-Z_]+)`", said)) == set(codes()) - GROUPS - set(GO_CODES.split())


def metrics_there() -> set[str]:
    metrics = Metrics(lambda: True)
    metrics.watch(lambda: (0, 0, 0))
    with Totals.open(Board(2), holds_clients=True) as totals:
        families = [
            *text_string_to_metric_families(metrics.expose()[0].decode()),
            *text_string_to_metric_families(generate_latest(totals.registry()).decode()),
        ]
    return {
        f"{one.name}_total" if one.type == "counter" else one.name
        for one in families
        if one.name.startswith("dsock_") and not one.name.endswith("_created")
    }


def test_every_metric_is_listed_and_no_other() -> None:
    table = page("operations.md").partition("## Metrics")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(dsock_\w+)", table)) == metrics_there()


def test_every_alert_is_explained_and_asks_for_metrics_that_there_are() -> None:
    section = page("operations.md").partition("## Alerts")[2].partition("\n## ")[0]
    text = section.partition("```yaml\n")[2].partition("```")[0]
    [group] = yaml.safe_load(text)["groups"]
    explained = re.findall(r"^\| `(Dsock\w+)`", section, re.MULTILINE)
    assert [rule["alert"] for rule in group["rules"]] == explained
    asked = set(re.findall(r"\b(dsock_\w+)", " ".join(rule["expr"] for rule in group["rules"])))
    assert {name.removesuffix("_count") for name in asked} <= metrics_there()


def test_how_long_a_node_waits_for_http_is_said() -> None:
    [row] = [r for r in (ROOT / "SECURITY.md").read_text().splitlines() if "stop half way" in r]
    seconds = [float(word) for word in re.findall(r"(\d+) s\b", row)]
    rules = Rules()
    assert seconds == [rules.header_timeout, rules.body_timeout]
    assert rules.answer_timeout == rules.body_timeout


def test_every_reason_to_close_is_listed_as_its_metric_has_it() -> None:
    [row] = [r for r in page("operations.md").splitlines() if "closed_total{reason}" in r]
    clients = row.split("|")[2]
    assert set(re.findall(r"`(\w+)`", clients)) == {one.name.lower() for one in Goodbye}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_a_page_points_to_is_there(path: Path) -> None:
    text = path.read_text()
    for link in re.findall(r"\]\(([^)]+)\)", text):
        file, _, place = link.partition("#")
        if "://" in link:
            continue
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not place or place in _places(target), link
    for named in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (ROOT / named).exists(), named


def _places(path: Path) -> set[str]:
    """The anchors of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
