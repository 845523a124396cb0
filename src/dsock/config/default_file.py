"""The config file that is written where there is none: every option, commented out."""

from __future__ import annotations

import json
import os
import textwrap
from dataclasses import Field
from typing import Any

from dsock.settings import default_text, option_fields, variable

NAME = "config.toml"

_HEAD = """\
Options of dSock. This file was written because there was no config file; every option is
commented out and shown with its default. Flags and the environment go before it. To see what
counts: dsock config"""


def text() -> str:
    """The file. It holds nothing but comments, and nothing of this machine."""
    return "\n\n".join([_comment(_HEAD), *(_entry(option) for option in option_fields())]) + "\n"


def write() -> str | None:
    """Write it into the current folder; its path, or None where that cannot be done.

    A file that exists is left alone. Of two nodes that start at once, one writes; should the
    other one read half of the file, that half is comments too.
    """
    try:
        # Secrets may be filled in later: it is for its owner alone.
        with open(NAME, "x", encoding="ascii", opener=_for_the_owner) as file:
            file.write(text())
        return os.path.abspath(NAME)
    except OSError:
        return None


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _entry(option: Field[Any]) -> str:
    said = [option.metadata["help"]]
    if option.metadata["only"]:
        said.append({"api": "API only.", "worker": "Worker only."}[option.metadata["only"]])
    if option.metadata["secret"]:
        said.append(f"Secret: better in {variable(option)}, or {variable(option)}_FILE for a file.")
    if option.metadata["shown"] and not option.default:
        said.append(f"Default: {option.metadata['shown']}.")
    return f"{_comment(' '.join(said))}\n#{option.name} = {_literal(option)}"


def _comment(words: str) -> str:
    return textwrap.fill(words.replace("\n", " "), 95, initial_indent="# ", subsequent_indent="# ")


def _literal(option: Field[Any]) -> str:
    """The default in TOML; the empty string, which counts as absent, for none."""
    default = option.default
    if default in (None, ""):
        return '""'
    if isinstance(default, tuple):
        return json.dumps(list(default))
    words = default_text(option)
    # A size is a whole number too, and easier to read with its unit.
    return words if words.isdigit() or isinstance(default, bool) else json.dumps(words)
