"""What a wheel and a source archive hold, against what they should."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

PACKAGE = "src/dsock/"
NOT_SHIPPED = (".ci/",)
"""Folders of the tree that a source archive goes without."""

_ABOUT = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def wheel_complaints(wheel: Path, tree: Iterable[str], version: str) -> list[str]:
    """What is wrong with a wheel. `tree` has the paths of the files of the tree, from its
    root: the wheel holds those of the package, and what is told about it."""
    about = f"dsock_broker-{version}.dist-info"
    wanted = {path.removeprefix("src/") for path in tree if path.startswith(PACKAGE)}
    wanted |= {f"{about}/{name}" for name in _ABOUT}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"{about}/METADATA") if f"{about}/METADATA" in names else b""
    found = _differences(wheel.name, names, wanted)
    said = HeaderParser().parsestr(metadata.decode())["Version"]
    if said != version:
        found.append(f"{wheel.name}: its metadata says version {said}, the source {version}")
    return found


def sdist_complaints(sdist: Path, tree: Iterable[str]) -> list[str]:
    """What is wrong with a source archive: it holds the tree, and `PKG-INFO`."""
    wanted = {path for path in tree if not path.startswith(NOT_SHIPPED)} | {"PKG-INFO"}
    with tarfile.open(sdist) as archive:
        names = {
            str(PurePosixPath(*PurePosixPath(entry.name).parts[1:]))
            for entry in archive
            if not entry.isdir()
        }
    return _differences(sdist.name, names, wanted)


def _differences(archive: str, names: set[str], wanted: set[str]) -> list[str]:
    missing = [f"{archive}: {name} is missing" for name in sorted(wanted - names)]
    return missing + [f"{archive}: {name} is too much" for name in sorted(names - wanted)]
