"""docs/specification.md points to tests, and they are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "specification.md"
REST = "## What no test can show"

NAMES = """
PORT DSOCK_PORT port address redis_host redis_password redis_db redis_max_retries redis_tls
default_channels token jwt_secret debug log_requests messaging_method redis direct
direct_message_hostname direct_message_port ttl_duration
/claim /connect /send /disconnect /info /channel/subscribe/$CHANNEL /channel/unsubscribe/$CHANNEL
/ping success error errorCode user session channels expiration duration id claim jwt channel type
text binary keepClaims ignoreClaims connections claims worker lastPing sub sid iat exp
USER_ID_REQUIRED INVALID_EXPIRATION NEGATIVE_EXPIRATION INVALID_DURATION NEGATIVE_DURATION
ERROR_CHECKING_CLAIM CLAIM_ID_ALREADY_USED ERROR_GETTING_CLAIM MISSING_CLAIM EXPIRED_CLAIM
INVALID_JWT MISSING_AUTHENTICATION INVALID_AUTHORIZATION ERROR_GETTING_CONNECTION
ERROR_GETTING_USER ERROR_GETTING_CHANNEL MISSING_TARGET INVALID_MESSAGE_TYPE
ERROR_READING_MESSAGE ERROR_MARSHALLING_MESSAGE
claim:$id claim-user:$user claim-user-session:$user-$session claim-channel:$channel conn:$id
user:$user user-session:$user-$session channel:$channel worker:$id $workerId $workerId:channel
"""
"""Options, calls, parameters, fields, codes and keys that the specification names."""


def rows(page: str) -> Iterator[tuple[str, list[str]]]:
    """What each row of the tables asks for, and the tests that it names. Raises
    `AssertionError` for a row that is not one of three cells."""
    for line in page.partition(REST)[0].splitlines():
        if not line.startswith("|") or set(line) <= set("|- "):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == 3, line
        if cells[:2] != ["asked for", "tested by"]:
            yield cells[0], re.findall(r"`([^`]*)`", cells[1])


def untested(page: str) -> list[str]:
    """Rows that name no test."""
    return [asked for asked, tests in rows(page) if not tests]


def lost(page: str) -> list[str]:
    """Tests that are named and are nowhere."""
    named = sorted({test for _, tests in rows(page) for test in tests})
    files = {test.partition("::")[0] for test in named}
    there = {f"{file}::{test}" for file in files for test in functions_of(ROOT / file)}
    return [test for test in named if test not in there]


def functions_of(path: Path) -> list[str]:
    """The names of the tests of a file, which is not run for that."""
    if not path.is_file() or path.suffix != ".py":
        return []
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)]
    return [name for name in found if name.startswith("test_")]


def test_every_row_names_a_test() -> None:
    page = PAGE.read_text()
    assert len(list(rows(page))) > 100
    assert untested(page) == []


def test_every_test_that_is_named_is_there() -> None:
    assert lost(PAGE.read_text()) == []


def test_every_name_of_the_specification_is_on_the_page() -> None:
    said = set(re.findall(r"`([^`]*)`", PAGE.read_text()))
    words = {word for text in said for word in text.split()}
    assert set(NAMES.split()) - words == set()


def test_every_table_has_the_same_head() -> None:
    sections = PAGE.read_text().partition(REST)[0].split("\n## ")[1:]
    heads = [re.findall(r"^\|.*\n\| ---", section, re.MULTILINE) for section in sections]
    assert heads == [["| asked for | tested by | differs |\n| ---"]] * len(sections)


@pytest.mark.parametrize(
    "named", ["`tests/test_x.py::test_y`", "`tests/test_cli.py::test_nothing_like_it`", "`tests`"]
)
def test_a_test_that_is_not_there_is_found_out(named: str) -> None:
    page = f"| asked for | tested by | differs |\n| --- | --- | --- |\n| this | {named} | |\n"
    assert [f"`{one}`" for one in lost(page)] == [named]


def test_a_row_without_a_test_is_found_out() -> None:
    page = f"| asked for | tested by | differs |\n| this | that | |\n{REST}\n| any | thing |\n"
    assert untested(page) == ["this"]
