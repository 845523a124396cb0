"""Completion scripts for shells."""

from __future__ import annotations

from argparse import ArgumentParser, _SubParsersAction

import shtab


def script(shell: str, parser: ArgumentParser) -> str:
    """The script by which `shell` completes what `parser` takes."""
    _complete_paths(parser)
    return f"{shtab.complete(parser, shell)}\n"


def _complete_paths(parser: ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for command in action.choices.values():
                _complete_paths(command)
        elif action.metavar == "PATH":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
