"""The table of defects and the tests that keep them out name each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IDS = range(1, 84)

_ROW = re.compile(r"^\| B(\d\d) \| ([^|]+) \| ([^|]+) \|$", re.M)
_NAME = re.compile(r"`(test_\w+\*?)`")
_TEST = re.compile(r"^ *(?:async )?def (test_b\d+_\w+)", re.M)

ROWS = {
    int(id): (wrong, kept_out)
    for id, wrong, kept_out in _ROW.findall((ROOT / "docs" / "defects.md").read_text())
}
TESTS = {
    name for path in (ROOT / "tests").rglob("test_*.py") for name in _TEST.findall(path.read_text())
}

every_id = pytest.mark.parametrize("id", IDS)


def ids_of(test: str) -> list[int]:
    """The defects that a test keeps out, as its name says."""
    return [int(id) for id in re.findall(r"(?<=_)b(\d\d)(?=_)", ids_part(test))]


def ids_part(test: str) -> str:
    found = re.match(r"test_(?:b\d+_)+", test)
    return found[0] if found else ""


def named(id: int) -> list[str]:
    """What the row of a defect names; a `*` stands for the rest of a name."""
    return _NAME.findall(ROWS[id][1])


def meant(name: str) -> Iterator[str]:
    """The tests that a name in the table means."""
    for test in TESTS:
        if test == name or (name.endswith("*") and test.startswith(name[:-1])):
            yield test


def test_every_defect_has_its_row_in_order() -> None:
    assert list(ROWS) == list(IDS)


def test_an_id_in_the_name_of_a_test_has_two_digits() -> None:
    assert [test for test in TESTS if re.search(r"_b(\d|\d{3,})_", ids_part(test))] == []


@every_id
def test_a_row_names_tests_that_there_are_or_says_what_is_not_there_yet(id: int) -> None:
    names = named(id)
    assert names
    missing = [name for name in names if not any(meant(name))]
    waits = "Not yet" in ROWS[id][1]
    assert [name for name in missing if not (waits and name.endswith("*"))] == []


@every_id
def test_every_test_with_the_id_of_a_defect_stands_in_its_row(id: int) -> None:
    tests = {test for test in TESTS if id in ids_of(test)}
    assert {test for name in named(id) for test in meant(name)} == tests


def test_no_test_has_an_id_that_is_no_defect() -> None:
    assert [test for test in TESTS if not set(ids_of(test)) <= set(IDS)] == []
