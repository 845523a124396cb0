"""When the changelog is ready for a version."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsock import __version__
from scripts.release.changelog import complaints

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
HEAD = "# Changelog\n\n- no entry\n\n"
WAITING = HEAD + "## [Unreleased]\n\n### Added\n\n- A thing.\n\n"
NOTHING_WAITS = HEAD + "## [Unreleased]\n\n"
SECTION = "## [{version}] - 2026-02-28\n\n- A thing.\n"


def test_ours_is_ready() -> None:
    assert complaints(CHANGELOG.read_text(), __version__) == []


@pytest.mark.parametrize("version", ["1.0.0", "1.2.3", "10.0.0", "0.1.0", "2.0.0rc1"])
@pytest.mark.parametrize("head", [HEAD, NOTHING_WAITS])
def test_a_version_with_its_section_is_ready(head: str, version: str) -> None:
    assert complaints(head + SECTION.format(version=version), version) == []


@pytest.mark.parametrize("version", ["0.1.0", "0.9.1", "1.0.0rc1", "1.0.0a2", "1.1.0.dev3"])
def test_what_waits_is_enough_for_an_early_version(version: str) -> None:
    assert complaints(WAITING, version) == []


@pytest.mark.parametrize("version", ["1.0.0", "1.2.3", "10.0.0"])
def test_what_waits_is_not_enough_from_1_0_on(version: str) -> None:
    assert complaints(WAITING, version) == [f"the changelog has no section for {version}"]


@pytest.mark.parametrize("text", ["", HEAD, NOTHING_WAITS])
def test_an_early_version_has_entries_too(text: str) -> None:
    assert complaints(text, "0.1.0") == ["the changelog has no entry for 0.1.0 or Unreleased"]


def test_the_section_of_another_version_is_none() -> None:
    text = NOTHING_WAITS + SECTION.format(version="1.2.30")
    assert complaints(text, "1.2.3") == ["the changelog has no section for 1.2.3"]


def test_nothing_waits_when_a_version_has_its_section() -> None:
    [said] = complaints(WAITING + SECTION.format(version="1.0.0"), "1.0.0")
    assert "wait under Unreleased" in said


@pytest.mark.parametrize("day", ["", " - soon", " - 2026-02-30", " - 20260228"])
def test_a_section_has_a_date(day: str) -> None:
    [said] = complaints(f"{NOTHING_WAITS}## [1.0.0]{day}\n\n- A thing.\n", "1.0.0")
    assert "has no date" in said


def test_a_section_has_entries() -> None:
    text = NOTHING_WAITS + "## [1.0.0] - 2026-02-28\n\n### Added\n\n## [0.9.0]\n\n- Old.\n"
    assert complaints(text, "1.0.0") == ["the section 1.0.0 of the changelog is empty"]
