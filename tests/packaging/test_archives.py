"""What is wrong with an archive is noticed."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from scripts.release.archives import sdist_complaints, wheel_complaints

VERSION = "1.2.3"
ABOUT = f"dsock_broker-{VERSION}.dist-info"
TREE = ["README.md", ".ci/run", "src/dsock/__init__.py", "src/dsock/a.lua", "tests/test_a.py"]
IN_WHEEL = [
    "dsock/__init__.py",
    "dsock/a.lua",
    f"{ABOUT}/METADATA",
    f"{ABOUT}/RECORD",
    f"{ABOUT}/WHEEL",
    f"{ABOUT}/entry_points.txt",
    f"{ABOUT}/licenses/LICENSE",
]
IN_SDIST = ["README.md", "PKG-INFO", *TREE[2:]]


def wheel(folder: Path, names: list[str], version: str = VERSION) -> Path:
    path = folder / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, f"Metadata-Version: 2.4\nVersion: {version}\n")
    return path


def sdist(folder: Path, names: list[str]) -> Path:
    path = folder / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(f"dsock_broker-{VERSION}/{name}"))
    return path


def test_a_good_wheel_has_nothing_wrong(tmp_path: Path) -> None:
    assert wheel_complaints(wheel(tmp_path, IN_WHEEL), TREE, VERSION) == []


@pytest.mark.parametrize("name", IN_WHEEL)
def test_a_file_that_a_wheel_lacks_is_named(tmp_path: Path, name: str) -> None:
    without = wheel(tmp_path, [one for one in IN_WHEEL if one != name])
    assert f"a.whl: {name} is missing" in wheel_complaints(without, TREE, VERSION)


@pytest.mark.parametrize("name", ["tests/test_a.py", "dsock/a.lua.orig", "README.md"])
def test_a_file_too_much_in_a_wheel_is_named(tmp_path: Path, name: str) -> None:
    more = wheel(tmp_path, [*IN_WHEEL, name])
    assert wheel_complaints(more, TREE, VERSION) == [f"a.whl: {name} is too much"]


def test_a_wheel_of_another_version_than_the_source_is_noticed(tmp_path: Path) -> None:
    other = wheel(tmp_path, IN_WHEEL, version="1.2.4")
    [said] = wheel_complaints(other, TREE, VERSION)
    assert "1.2.4" in said
    assert VERSION in said


def test_a_good_source_archive_has_nothing_wrong(tmp_path: Path) -> None:
    assert sdist_complaints(sdist(tmp_path, IN_SDIST), TREE) == []


@pytest.mark.parametrize("name", IN_SDIST)
def test_a_file_that_a_source_archive_lacks_is_named(tmp_path: Path, name: str) -> None:
    without = sdist(tmp_path, [one for one in IN_SDIST if one != name])
    assert sdist_complaints(without, TREE) == [f"a.tar.gz: {name} is missing"]


@pytest.mark.parametrize("name", [".ci/run", "notes.txt", "tests/__pycache__/test_a.pyc"])
def test_a_file_too_much_in_a_source_archive_is_named(tmp_path: Path, name: str) -> None:
    more = sdist(tmp_path, [*IN_SDIST, name])
    assert sdist_complaints(more, TREE) == [f"a.tar.gz: {name} is too much"]
