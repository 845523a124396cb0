"""Build `dist/` and check it: `python -m scripts.release [--uncommitted]`.

Needs the libraries build and twine, git, and a package index. What does not pass every
check never gets into `dist/`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.release import archives, changelog
from scripts.release.pythons import bare_environment, present, supported

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
SMOKE = Path(__file__).parent / "smoke.py"

PATIENCE = 300
"""Seconds that one step may take; most of it is the network's."""


class Failed(Exception):
    """A program did not end well; has what it said."""


def run(*command: str | Path, cwd: Path) -> str:
    """What a program prints. Raises `Failed`."""
    name = " ".join(str(word) for word in command)
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=bare_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
    except OSError as error:
        raise Failed(f"{name}: {error}") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{name}: not done after {PATIENCE} s") from None
    if done.returncode:
        raise Failed(f"{name}: status {done.returncode}\n{done.stdout}".rstrip())
    return done.stdout


def source_version() -> str:
    text = (ROOT / "src" / "dsock" / "__init__.py").read_text()
    [version] = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(version)


def uncommitted() -> list[str]:
    """Files that are not as in the last commit, so that a release would be of no commit."""
    lines = run("git", "status", "--porcelain", "--untracked-files=all", cwd=ROOT).splitlines()
    return [f"not committed: {line[3:]}" for line in lines]


def build(folder: Path) -> tuple[Path, Path, Path]:
    """The source archive, the wheel made from it, and the one made from the tree."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "tree", ROOT, cwd=folder)
    [sdist] = folder.glob("*.tar.gz")
    [wheel] = folder.glob("*.whl")
    [of_tree] = folder.glob("tree/*.whl")
    return sdist, wheel, of_tree


def archive_complaints(sdist: Path, wheel: Path, of_tree: Path, version: str) -> Iterator[str]:
    # Those that git does not know yet are there only when that is allowed.
    listing = ("--cached", "--others", "--exclude-standard")
    tree = run("git", "ls-files", *listing, cwd=ROOT).splitlines()
    yield from archives.sdist_complaints(sdist, tree)
    yield from archives.wheel_complaints(wheel, tree, version)
    if wheel.read_bytes() != of_tree.read_bytes():
        yield "the wheel made from the source archive differs from the one made from the tree"
    try:
        run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel, cwd=sdist.parent)
    except Failed as failed:
        yield str(failed)


def smoke_complaints(wheel: Path, version: str, folder: Path) -> Iterator[str]:
    """Install the wheel for each Python into an environment with nothing else in it, and
    run it from there."""
    pythons = present(supported(ROOT))
    if not pythons:
        yield "none of the Pythons that dSock runs on is here"
    for name, python in pythons.items():
        print(f"On Python {name}...", flush=True)
        place = folder / f"py{name}"
        try:
            run(python, "-m", "venv", place, cwd=folder)
            run(place / "bin/python", "-m", "pip", "install", "-q", wheel, cwd=folder)
            smoke = (place / "bin/python", "-P", SMOKE, place / "bin/dsock", place, version)
            run(*smoke, cwd=folder)
        except Failed as failed:
            yield f"Python {name}: {failed}"
    if missing := [name for name in supported(ROOT) if name not in pythons]:
        print(f"Not tried, for it is not here: Python {', '.join(missing)}")


def tree_complaints(version: str, committed: bool) -> Iterator[str]:
    yield from changelog.complaints((ROOT / "CHANGELOG.md").read_text(), version)
    if committed:
        yield from uncommitted()


def complaints(folder: Path, version: str, committed: bool) -> Iterator[str]:
    """What is wrong. A tree that is not ready is not built: that would take its time."""
    if found := list(tree_complaints(version, committed)):
        yield from found
        return
    print(f"Building {version}...", flush=True)
    sdist, wheel, of_tree = build(folder)
    yield from archive_complaints(sdist, wheel, of_tree, version)
    yield from smoke_complaints(wheel, version, folder)


def main() -> int:
    if unknown := set(sys.argv[1:]) - {"--uncommitted"}:
        print(f"unknown: {' '.join(unknown)}", file=sys.stderr)
        return 2
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        try:
            found = list(
                complaints(folder, source_version(), committed="--uncommitted" not in sys.argv)
            )
        except Failed as failed:
            found = [str(failed)]
        if found:
            print("\n".join(["No release:", *found]), file=sys.stderr)
            return 1
        DIST.mkdir()
        for path in sorted([*folder.glob("*.tar.gz"), *folder.glob("*.whl")]):
            print(shutil.copy(path, DIST))
    return 0


if __name__ == "__main__":
    sys.exit(main())
