"""What is built from this tree, and dSock as installed from it. `make release` does the same
on every Python, with libraries of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from dsock import __version__
from scripts.release import smoke
from scripts.release.archives import sdist_complaints, wheel_complaints

ROOT = Path(__file__).parents[2]
FOLDERS = ("bench", "docs", "requirements", "scripts", "src", "tests")
FILES = (".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "pyproject.toml")
"""What building and testing need."""


@dataclass(frozen=True, slots=True)
class Built:
    sdist: Path
    wheel: Path


@dataclass(frozen=True, slots=True)
class Installed:
    """A folder that has dSock, whose libraries are those of this environment."""

    folder: Path

    def smoke(self, cwd: Path, expected_in: Path | None = None) -> subprocess.CompletedProcess[str]:
        # Before all else on the path, so before this tree, which may be installed too.
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        return subprocess.run(
            [
                *(sys.executable, "-P", smoke.__file__),
                *(self.folder / "bin" / "dsock", expected_in or self.folder, __version__),
            ],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=2 * smoke.PATIENCE,
        )


def run(module: str, *arguments: str | Path) -> None:
    command = (sys.executable, "-m", module, *arguments)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    run("hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", folder)
    [sdist] = folder.glob("*.tar.gz")
    [wheel] = folder.glob("*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    run("pip", "install", "-q", "--no-deps", "--no-index", "--target", folder, built.wheel)
    return Installed(folder)


def tree() -> set[str]:
    """The files of this tree, without what has come about by running it."""
    inside = {path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.is_file()}
    mine = {str(path.relative_to(ROOT)) for path in inside if "__pycache__" not in path.parts}
    return mine | set(FILES)


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    assert wheel_complaints(built.wheel, tree(), __version__) == []


def test_the_source_archive_holds_what_building_and_testing_need(built: Built) -> None:
    assert [one for one in sdist_complaints(built.sdist, tree()) if "missing" in one] == []


def test_what_is_installed_from_the_wheel_serves_a_client(
    installed: Installed, tmp_path: Path
) -> None:
    done = installed.smoke(cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_a_package_from_elsewhere_is_not_taken_for_the_installed_one(
    installed: Installed, tmp_path: Path
) -> None:
    done = installed.smoke(cwd=tmp_path, expected_in=tmp_path)
    assert done.returncode == 1
    assert f"imported from {installed.folder}" in done.stderr


def test_a_wheel_without_a_file_that_is_read_does_not_serve(
    installed: Installed, tmp_path: Path
) -> None:
    [script] = installed.folder.rglob("take_claim.lua")
    aside = script.rename(tmp_path / script.name)
    done = installed.smoke(cwd=tmp_path)
    aside.rename(script)
    assert done.returncode == 1
    assert script.name in done.stderr
