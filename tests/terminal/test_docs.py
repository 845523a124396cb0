"""The page about the terminal: whatever it shows can be typed."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from dsock.terminal.commands import COMMANDS, add_commands

PAGE = Path(__file__).parents[2] / "docs" / "terminal.md"
SHOWN = re.findall(r"^\$.*?\bdsock ([a-z][^|>)#\n]*)", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", SHOWN)
def test_each_command_that_is_shown_is_one(line: str) -> None:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(dest="name"), parser)
    assert parser.parse_args(shlex.split(line)).name in COMMANDS


def test_every_command_is_on_the_page() -> None:
    text = PAGE.read_text()
    assert all(f"`dsock {name}" in text for name in COMMANDS)
    assert {line.split()[0] for line in SHOWN} >= {"claim", "send", "info", "listen"}
