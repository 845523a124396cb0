"""How things read on the terminal. No I/O."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

HEX_BYTES = 64
"""How many bytes of a binary message are shown."""

# Joiners hold emoji and some scripts together, and move nothing.
_JOINERS = "\u200c\u200d"
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escaped(text: str) -> str:
    """The text with everything written out that could drive a terminal or reorder a line."""
    return "".join(
        one if one.isprintable() or one in _JOINERS else _SHORT.get(one) or _code(one)
        for one in text
    )


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def hexed(data: bytes) -> str:
    """A binary message: its size and its first bytes."""
    more = " ..." if len(data) > HEX_BYTES else ""
    shown = data[:HEX_BYTES].hex(" ")
    return f"[binary, {counted(len(data), 'byte')}] {shown}{more}".rstrip()


def counted(number: int, word: str) -> str:
    """`1 worker`, `2 workers`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def clock(seconds: float, now: float) -> str:
    """A time in seconds from epoch as local time, with the day unless it is today."""
    try:
        then = datetime.fromtimestamp(seconds)
    except (ValueError, OverflowError, OSError):
        # The last hours of the year 9999 are in the year 10000 elsewhere.
        return str(seconds)
    today = then.date() == datetime.fromtimestamp(now).date()
    return f"{then:%H:%M:%S}" if today else f"{then:%Y-%m-%d %H:%M:%S}"


def when(seconds: float, now: float) -> str:
    """The same, and how far it is from now: `12:03:04 (5 s ago)`."""
    away = round(abs(seconds - now))
    size, unit = next(
        ((size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "min")) if away >= size),
        (1, "s"),
    )
    far = f"{away // size} {unit}"
    return (
        f"{clock(seconds, now)} ({far} ago)"
        if seconds <= now
        else (f"{clock(seconds, now)} (in {far})")
    )


def told(report: dict[str, int], done: str) -> str:
    """What became of a command: `sent to 3 connections on 1 worker`; `done` is `sent to`."""
    workers, connections = report["workers"], report.get("connections")
    if connections is None:
        return f"told {counted(workers, 'worker')}" if workers else "nobody is connected"
    parts = []
    if connections:
        # Of several that were told, some may have nobody.
        on = " on 1 worker" if workers == 1 else f" ({counted(workers, 'worker')} told)"
        parts.append(f"{done} {counted(connections, 'connection')}{on}")
    if report["dropped"]:
        dropped = counted(report["dropped"], "connection")
        parts.append(f"dropped for {dropped}: too much was waiting already")
    if report["unanswered"]:
        parts.append(f"{counted(report['unanswered'], 'worker')} did not answer")
    return ", ".join(parts) or "nobody is connected"


def info(content: dict[str, Any], now: float) -> str:
    """The answer of `/info` as two tables. The ids of claims are not in it: they are keys."""
    connections = _table(
        content["connections"],
        "connection",
        {
            "ID": lambda one: one["id"],
            "USER": lambda one: one["user"],
            "SESSION": lambda one: one.get("session", "-"),
            "CHANNELS": lambda one: ",".join(one["channels"]) or "-",
            "LAST PING": lambda one: when(one["lastPing"], now) if "lastPing" in one else "-",
            "WORKER": lambda one: one["worker"],
        },
    )
    claims = _table(
        content["claims"],
        "claim",
        {
            "USER": lambda one: one["user"],
            "SESSION": lambda one: one.get("session", "-"),
            "CHANNELS": lambda one: ",".join(one.get("channels", [])) or "-",
            "EXPIRES": lambda one: when(one["expiration"], now),
        },
    )
    return f"{connections}\n{claims}"


def _table(
    rows: Sequence[dict[str, Any]], word: str, columns: dict[str, Callable[[dict[str, Any]], str]]
) -> str:
    if not rows:
        return f"no {word}s"
    cells = [list(columns), *([escaped(read(row)) for read in columns.values()] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        )
        for line in cells
    )
    return "\n".join([counted(len(rows), word), *(f"  {line.rstrip()}" for line in lines)])


def _width(text: str) -> int:
    """Columns on a terminal."""
    return sum(
        0
        if unicodedata.combining(one) or one in _JOINERS
        else 2
        if unicodedata.east_asian_width(one) in "WF"
        else 1
        for one in text
    )
