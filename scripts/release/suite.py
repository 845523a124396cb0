"""Run the tests on every Python that is here:
`python -m scripts.release.suite [PYTEST ARGUMENTS]`.

Each has an environment of its own, `.venv/py3.12` and so on, with the locked libraries.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.release.pythons import bare_environment, present, supported

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "dev.txt"

PATIENCE = 1800
"""Seconds that the tests may take on one Python."""


def prepare(python: Path, place: Path) -> Path:
    """An environment with the locked libraries and this tree; returns its Python. Quick when
    there is nothing to do. Raises `CalledProcessError`."""
    ours = place / "bin" / "python"
    ready = place / ".ready"
    pip = (ours, "-m", "pip", "install", "-q")
    if ready.exists() and ready.stat().st_mtime > LOCK.stat().st_mtime:
        return ours
    for command in (
        (python, "-m", "venv", "--clear", place),
        (*pip, "--require-hashes", "-r", LOCK),
        (*pip, "--no-deps", "--no-build-isolation", "-e", ROOT),
    ):
        subprocess.run(command, cwd=ROOT, env=bare_environment(), check=True, timeout=PATIENCE)
    ready.touch()
    return ours


def passes(python: Path, name: str, arguments: list[str]) -> bool:
    try:
        ours = prepare(python, ROOT / ".venv" / f"py{name}")
        done = subprocess.run(
            (ROOT / "scripts" / "run-tests", ours, *arguments),
            cwd=ROOT,
            env=bare_environment(),
            timeout=PATIENCE,
        )
    except (OSError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return False
    return done.returncode == 0


def main() -> int:
    pythons = present(supported(ROOT))
    failed = []
    for name, python in pythons.items():
        print(f"Python {name}:", flush=True)
        if not passes(python, name, sys.argv[1:]):
            failed.append(name)
    missing = [name for name in supported(ROOT) if name not in pythons]
    for text, names in (("Failed", failed), ("Not here", missing)):
        if names:
            print(f"{text}: Python {', '.join(names)}")
    return 1 if failed or not pythons else 0


if __name__ == "__main__":
    sys.exit(main())
