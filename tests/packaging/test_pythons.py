"""Which Pythons are found, and what they are given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.release.pythons import bare_environment, present, supported

ROOT = Path(__file__).parents[2]


def program(path: Path, says: str) -> Path:
    """Something that runs and says which Python it is, as far as it is asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _no_other_pythons(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))


def test_those_that_the_package_names_are_supported() -> None:
    assert supported(ROOT) == ["3.11", "3.12", "3.13"]


def test_one_on_the_path_is_found(tmp_path: Path) -> None:
    python = program(tmp_path / "b" / "python3.12", "echo 3.12")
    assert present(["3.11", "3.12"]) == {"3.12": python}


@pytest.mark.parametrize("says", ["exit 127", "echo 3.11", "echo no such version >&2; exit 1"])
def test_one_that_does_not_work_is_passed_over(tmp_path: Path, says: str) -> None:
    program(tmp_path / "a" / "python3.12", says)
    python = program(tmp_path / "b" / "python3.12", "echo 3.12")
    assert present(["3.12"]) == {"3.12": python}


def test_the_newest_of_pyenv_is_found(tmp_path: Path) -> None:
    for version in ("3.12.9", "3.12.10", "3.1.2"):
        program(tmp_path / "pyenv" / "versions" / version / "bin" / "python", "echo 3.12")
    newest = tmp_path / "pyenv" / "versions" / "3.12.10" / "bin" / "python"
    assert present(["3.12"]) == {"3.12": newest}


def test_none_is_no_error() -> None:
    assert present(["3.12"]) == {}


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME", "PORT", "DSOCK_TOKEN"])
def test_nothing_leads_to_the_tree_or_to_options(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "anything")
    environment = bare_environment()
    assert name not in environment
    assert "PATH" in environment
