"""The Pythons that dSock runs on, and where they are on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

_CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.\d+)")

# Debian's Python comes without the first two, and can make no environment then.
_PROBE = "import ensurepip, venv, sys; print('%d.%d' % sys.version_info[:2])"


def supported(root: Path) -> list[str]:
    """`3.11` and so on, as the package says of itself."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    found = map(_CLASSIFIER.fullmatch, project["classifiers"])
    return [match[1] for match in found if match]


def present(versions: list[str]) -> dict[str, Path]:
    """Those that are here, each with the first of its programs that works."""
    found = {}
    for version in versions:
        working = (path for path in _candidates(version) if _is(path, version))
        if path := next(working, None):
            found[version] = path
    return found


def bare_environment() -> dict[str, str]:
    """The environment without what would lead a Python to this tree, or dSock to options."""
    return {
        name: text
        for name, text in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PORT")
        and not name.startswith("DSOCK_")
    } | {"PYTHONNOUSERSITE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _candidates(version: str) -> Iterator[Path]:
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield Path(folder, f"python{version}")
    home = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    installed = home.glob(f"versions/{version}.*/bin/python")
    yield from sorted(installed, key=lambda path: _numbers(path.parts[-3]), reverse=True)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _is(program: Path, version: str) -> bool:
    """Whether it runs, is of this version, and can make environments."""
    if not os.access(program, os.X_OK):
        return False
    try:
        done = subprocess.run(
            [program, "-c", _PROBE],
            env=bare_environment(),
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == version
