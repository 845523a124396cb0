"""Curves as SVG: panels side by side, each with its lines over the same scales."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, COLUMNS = 350, 220, 3
"""Of a panel, in pixels; and how many stand side by side."""

LEFT, RIGHT, TOP, BOTTOM = 46, 24, 34, 34
COLOURS = ("#1b6ca8", "#c8553d", "#6b7280", "#3c8d53")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines by their names. All x are within 0 to 1, all y above 0."""

    title: str
    lines: Mapping[str, Points]


def svg(panels: Sequence[Panel], x_title: str, y_title: str) -> str:
    """All panels with one logarithmic scale, so that they can be compared."""
    values = [y for panel in panels for line in panel.lines.values() for _, y in line]
    low = math.floor(math.log10(min(values, default=1.0)))
    high = max(low + 1, math.ceil(math.log10(max(values, default=10.0))))
    rows = math.ceil(len(panels) / COLUMNS)
    size = f'width="{WIDTH * COLUMNS}" height="{HEIGHT * rows}"'
    font = 'font-family="sans-serif" font-size="11" fill="#222"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for index, panel in enumerate(panels):
        x, y = index % COLUMNS * WIDTH, index // COLUMNS * HEIGHT
        parts.append(f'<g transform="translate({x} {y})">')
        parts += [_text(8, 14, panel.title, "start"), *_axes(low, high, x_title, y_title)]
        for colour, (name, points) in zip(COLOURS, panel.lines.items(), strict=False):
            parts += _line(name, points, colour, low, high)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _x(part: float) -> float:
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def _y(value: float, low: int, high: int) -> float:
    part = (math.log10(value) - low) / (high - low)
    return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def _axes(low: int, high: int, x_title: str, y_title: str) -> list[str]:
    parts = [
        _text(_x(0.5), HEIGHT - 4, x_title, "middle"),
        _text(LEFT, 27, y_title, "end"),
    ]
    for power in range(low, high + 1):
        y = _y(10.0**power, low, high)
        parts.append(f'<path d="M{_x(0):.1f} {y:.1f}H{_x(1):.1f}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 5, y + 4, f"{10.0**power:g}", "end"))
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_text(_x(part), HEIGHT - BOTTOM + 14, f"{part:.0%}", "middle"))
    return parts


def _line(name: str, points: Points, colour: str, low: int, high: int) -> list[str]:
    places = [(_x(x), _y(y, low, high)) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in places]
    last_x, last_y = places[-1]
    label = _text(last_x - 4, last_y - 6, name, "end", colour)
    return [f'<polyline points="{path}" fill="none" stroke="{colour}"/>', *dots, label]


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#222") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {where}>{escape(text)}</text>"
