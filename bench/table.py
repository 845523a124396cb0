"""The figures as a table: for a terminal, or as Markdown. Made from the JSON of a run, so that
both show what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""A figure as `Figure.as_json` writes it."""

HEADER = (
    "shape",
    "where",
    "what",
    "measured",
    "least - most",
    "floor",
    "ratio",
    "CPU us",
    "floor CPU us",
    "wanted",
    "holds",
    "remarks",
)


def cells(row: Row) -> tuple[str, ...]:
    """One row. The CPU is the server's, for one of what the figure counts."""
    limits = ["the generator was the limit"] if row["generator_limits"] else []
    redis = [f"Redis {number(row['redis_cpu_us'])} us"] if row["redis_cpu_us"] else []
    holds = {None: "", True: "yes", False: "NO"}[row["holds"]]
    floor = row["floor_median"]
    return (
        row["shape"],
        row["place"],
        row["name"],
        f"{number(row['median'])} {row['unit']}",
        f"{number(row['min'])} - {number(row['max'])}",
        "" if floor is None else f"{row['floor']}: {number(floor)}",
        "" if row["ratio"] is None else f"{row['ratio']:.2f}",
        number(row["cpu_us"]),
        number(row["floor_cpu_us"]),
        row["wanted"] or "",
        holds,
        "; ".join(one for one in (*limits, *redis, row["note"]) if one),
    )


def as_text(rows: Sequence[Row]) -> str:
    """Columns of equal width."""
    lines = [HEADER, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def as_markdown(rows: Sequence[Row], without: Sequence[str] = ()) -> str:
    """A table without the columns of these names."""
    kept = [index for index, name in enumerate(HEADER) if name not in without]
    lines = [HEADER, ["---"] * len(HEADER), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line[index] for index in kept)} |" for line in lines)


def number(value: float | None) -> str:
    """With three digits, or without a fraction where it is large."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
