"""The table, the plot and the page that are made of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

from bench.figures import Figure, Sample, Wanted
from bench.plot import Panel, svg
from bench.report import page, panels
from bench.table import HEADER, as_markdown, as_text, cells, number

SVG = "{http://www.w3.org/2000/svg}"

FIGURE = Figure(
    shape="channel of 1,000",
    place="memory",
    name="one send at a time",
    unit="deliveries/s",
    samples=(Sample(123_456.0, cpu=4.321, generator=0.95),),
    floor="a loop",
    floor_samples=(Sample(200_000.0, cpu=1.5),),
    wanted=Wanted("ratio", least=0.7),
)


def latency(quantile: str, load: float, value: float) -> Figure:
    return Figure(
        shape="latency to one user",
        place="memory",
        name=f"{quantile} at {load:.0%}",
        unit="ms",
        samples=(Sample(value),),
        load=load,
    )


def run(*figures: Figure) -> dict[str, Any]:
    return {
        "command": "python -m bench --quick",
        "commit": "abc1234",
        "date": "2026-01-02",
        "machine": {"cpu": "A processor", "cores": "2", "kernel": "6.1", "python": "3.11.7"},
        "rounds": 3,
        "seconds": 100,
        "figures": [figure.as_json() for figure in figures],
    }


def test_a_row_says_what_was_measured_against_what() -> None:
    row = dict(zip(HEADER, cells(FIGURE.as_json()), strict=True))
    assert row["measured"] == "123,456 deliveries/s"
    assert row["floor"] == "a loop: 200,000"
    assert row["ratio"] == "0.62"
    assert row["wanted"] == "≥ 0.7 x floor"
    assert row["holds"] == "NO"
    assert row["CPU us"] == "4.32"
    assert row["remarks"] == "the generator was the limit"


def test_what_was_not_measured_is_left_empty() -> None:
    bare = replace(FIGURE, samples=(Sample(1.5),), floor_samples=(), wanted=None)
    row = dict(zip(HEADER, cells(bare.as_json()), strict=True))
    assert {row[name] for name in ("floor", "ratio", "CPU us", "wanted", "holds")} == {""}


def test_numbers_are_as_long_as_they_are_good() -> None:
    assert [number(one) for one in (1234.5, 99.94, 0.01234, 0.0, None)] == [
        "1,234",
        "99.9",
        "0.0123",
        "0",
        "",
    ]


def test_columns_stand_below_each_other() -> None:
    lines = as_text([FIGURE.as_json(), latency("p50", 0.5, 1.0).as_json()]).splitlines()
    assert lines[0].index("where") == lines[1].index("memory") == lines[2].index("memory")


def test_markdown_has_as_many_cells_in_every_row() -> None:
    lines = as_markdown([FIGURE.as_json()], without=["where"]).splitlines()
    assert [line.count("|") for line in lines] == [len(HEADER)] * 3


def test_the_plot_is_valid_and_has_a_line_for_each_quantile() -> None:
    lines = {"p50": [(0.1, 1.0), (0.9, 3.0)], "p99 < max": [(0.1, 10.0), (0.9, 200.0)]}
    root = ElementTree.fromstring(svg([Panel("to one user", lines)], "load", "ms"))
    assert len(root.findall(f".//{SVG}polyline")) == 2
    assert "p99 < max" in {text.text for text in root.iter(f"{SVG}text")}


def test_what_takes_longer_stands_higher_in_the_plot() -> None:
    lines = {"p50": [(0.1, 1.0), (0.9, 3.0)]}
    root = ElementTree.fromstring(svg([Panel("", lines)], "load", "ms"))
    first, second = root.iter(f"{SVG}circle")
    assert float(first.get("cy", "")) > float(second.get("cy", ""))
    assert float(first.get("cx", "")) < float(second.get("cx", ""))


def test_the_curves_are_those_of_the_figures_with_a_load() -> None:
    rows = [one.as_json() for one in (FIGURE, latency("p50", 0.1, 1.0), latency("p50", 0.9, 2.0))]
    assert panels(rows) == [Panel("to one user, memory", {"p50": [(0.1, 1.0), (0.9, 2.0)]})]


def test_the_page_says_how_to_repeat_it_and_on_what_it_was() -> None:
    text = page(run(FIGURE, latency("p99", 0.5, 4.0)))
    for said in ("python -m bench --quick", "abc1234", "2026-01-02", "A processor", "6.1"):
        assert said in text
    assert "| channel of 1,000 |" in text
    assert "performance/latency.svg" in text


def test_a_run_without_latencies_has_no_plot() -> None:
    assert "latency.svg" not in page(run(FIGURE))
