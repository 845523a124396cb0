"""Durations as the specification writes them: `60s`, `1m30s`, `500ms`."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_BELOW_A_SECOND = (("ms", 10**6), ("us", 10**3), ("ns", 1))
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


def duration_text(seconds: float) -> str:
    """The opposite of `parse_duration` for what is not negative: `1m30s`, `1.5s`, `500ms`."""
    nanoseconds = round(seconds * 1e9)
    if 0 < nanoseconds < 10**9:
        unit, size = next(one for one in _BELOW_A_SECOND if nanoseconds >= one[1])
        return f"{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    return text + f"{_decimal(rest, 10**9)}s" if rest or not text else text


def _decimal(count: int, size: int) -> str:
    # Not by division of floats: every digit of a nanosecond is kept.
    whole, rest = divmod(count, size)
    digits = len(str(size)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".") if rest else str(whole)
