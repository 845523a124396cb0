"""Durations as the specification writes them: `60s`, `1m30s`, `500ms`."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST = (2**63 - 1) / 1e9


def parse_duration(text: str) -> float:
    """Seconds in a duration in the notation and range of Go's `time.ParseDuration`.

    Raises `ValueError`.
    """
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    seconds, end = 0.0, 0
    while part := _PART.match(rest, end):
        seconds += float(part[1]) * _UNITS[part[2]]
        end = part.end()
    if end != len(rest) or not rest or seconds > _LONGEST:
        raise ValueError(f"not a duration such as 60s, 1m30s or 500ms: {text!r}")
    return sign * seconds
