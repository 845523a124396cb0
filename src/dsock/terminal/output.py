"""Writing to the terminal: results on standard output, everything else beside it."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from dsock.terminal.words import escaped


def prepare() -> None:
    """Whatever has to be shown can be shown, in any locale, and is shown at once."""
    # Python has None for what whoever started us has closed; the next file that is opened
    # would take its place.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)


def say(text: str) -> None:
    """Lines of the result. Raises `OSError`."""
    print("\n".join(map(escaped, text.split("\n"))), flush=True)


def hand_on(body: bytes) -> None:
    """A line that is passed on byte for byte. Raises `OSError`."""
    sys.stdout.flush()
    sys.stdout.buffer.write(body + b"\n")
    sys.stdout.buffer.flush()


def aside(text: str) -> None:
    """Something for the person who watches."""
    print("\n  ".join(map(escaped, text.split("\n"))), file=sys.stderr, flush=True)


def mute() -> None:
    """Nobody reads the result any more: the end of the process need not try to write it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _nowhere() -> TextIO:
    return open(os.devnull, "w")
