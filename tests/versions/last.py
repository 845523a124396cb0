"""The version before this one: nodes of both are one cluster while an upgrade is under way."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Literal

import dsock

Version = Literal["last", "this"]

LAST = Path(__file__).with_name("last.zip")
"""Its sources, as of commit e217c2b. When a release is out, put those of its tag here
(`git archive --format=zip -9 -o tests/versions/last.zip TAG src`): what is built after it must
live with it."""


def sources_of_last(into: Path) -> Path:
    """Unpack it into this folder; gives what its nodes import."""
    with zipfile.ZipFile(LAST) as archive:
        archive.extractall(into)
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
