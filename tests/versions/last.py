"""The version before this one: nodes of both are one cluster while an upgrade is under way."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Literal

import dsock

Version = Literal["last", "this"]

LAST = "e217c2bf48b0ce249da6415404d91e728946bfab"
"""Its commit. When a release is out, put the commit of its tag here (`git rev-parse TAG^{commit}`):
what is built after it must live with it. The clone needs its history (`fetch-depth: 0`)."""

_ROOT = Path(__file__).parents[2]


def sources_of_last(into: Path) -> Path:
    """Unpack it into this folder; gives what its nodes import."""
    done = subprocess.run(
        ["git", "-C", str(_ROOT), "archive", "--format=tar", LAST, "src"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(into, filter="data")
    return into / "src"


class Versions:
    """How nodes of each version are started; `folder` is for the last one."""

    def __init__(self, folder: Path) -> None:
        this = Path(dsock.__file__).parents[1]
        self._sources: dict[Version, Path] = {"last": sources_of_last(folder), "this": this}
        for version in self._sources:
            self._require(version)

    def command(self, version: Version) -> tuple[str, ...]:
        """The command `dsock` of this version."""
        return (*self._python(version), "-m", "dsock")

    def _python(self, version: Version) -> tuple[str, ...]:
        return ("env", f"PYTHONPATH={self._sources[version]}", sys.executable)

    def _require(self, version: Version) -> None:
        # Another one may be installed, and would go unnoticed.
        ask = (*self._python(version), "-c", "import dsock; print(dsock.__file__)")
        said = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        assert Path(said.strip()).parents[1] == self._sources[version], said
