"""The figures as a table: for a terminal, or as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import Figure

HEADER = (
    "shape",
    "where",
    "what",
    "measured",
    "floor",
    "ratio",
    "CPU us",
    "floor CPU us",
    "wanted",
    "holds",
    "remarks",
)


def cells(figure: Figure) -> tuple[str, ...]:
    """One row. The CPU is the server's, for one of what the figure counts."""
    limits = ["the generator was the limit"] if figure.generator_limits else []
    redis = [f"Redis {_number(figure.redis_cpu)} us"] if figure.redis_cpu else []
    holds = {None: "", True: "yes", False: "NO"}[figure.holds]
    return (
        figure.shape,
        figure.place,
        figure.name,
        f"{_number(figure.value)} {figure.unit}",
        f"{figure.floor}: {_number(figure.floor_value)}" if figure.floor_samples else "",
        f"{figure.ratio:.2f}" if figure.ratio is not None else "",
        _number(figure.cpu),
        _number(figure.floor_cpu),
        str(figure.wanted or ""),
        holds,
        "; ".join(one for one in (*limits, *redis, figure.note) if one),
    )


def as_text(figures: Sequence[Figure]) -> str:
    """Columns of equal width."""
    rows = [HEADER, *map(cells, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the header."""
    header, *others = rows
    ruler = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ruler, *others))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
