"""The config file that is written where there is none."""

from __future__ import annotations

import re
import stat
import threading
import tomllib
from pathlib import Path

import pytest

from dsock.config import default_file
from dsock.config.sources import DEFAULT, load
from dsock.settings import Settings, default_text, option_fields

CANARY = "canary-b79"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def uncommented() -> str:
    return re.sub(r"(?m)^#(?=\w+ = )", "", default_file.text())


def test_every_option_is_in_it_commented_out() -> None:
    assert tomllib.loads(default_file.text()) == {}
    assert list(tomllib.loads(uncommented())) == [option.name for option in option_fields()]


def test_every_option_has_its_help_its_default_and_its_half() -> None:
    entries = default_file.text().split("\n\n")[1:]
    for option, entry in zip(option_fields(), entries, strict=True):
        words = " ".join(line.removeprefix("# ") for line in entry.splitlines()[:-1])
        assert words.startswith(option.metadata["help"])
        assert default_text(option) in entry.replace("\n# ", " ")
        for half in ("API", "Worker"):
            assert (f" {half} only." in words) is (half.lower() == option.metadata["only"])


def test_uncommented_it_says_what_the_defaults_are(folder: Path) -> None:
    (folder / "config.toml").write_text(uncommented())
    loaded = load({}, {}, search=True)
    assert loaded.settings == Settings()
    said = {name for name, source in loaded.sources.items() if source != DEFAULT}
    with_default = {o.name for o in option_fields() if o.default not in (None, "", ())}
    assert said == with_default


def test_it_is_found_by_the_next_start_and_changes_nothing(folder: Path) -> None:
    path = default_file.write()
    loaded = load({}, {}, search=True)
    assert (loaded.settings, loaded.file) == (Settings(), path)
    assert set(loaded.sources.values()) == {DEFAULT}


def test_only_its_owner_can_read_it(folder: Path) -> None:
    default_file.write()
    assert stat.S_IMODE((folder / "config.toml").stat().st_mode) == 0o600


def test_b79_nothing_from_the_environment_is_in_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for option in option_fields():
        monkeypatch.setenv(f"DSOCK_{option.name.upper()}", CANARY)
    default_file.write()
    assert CANARY not in (folder / "config.toml").read_text()


@pytest.mark.parametrize("of", ["a file", "a link to nowhere"])
def test_what_is_there_is_left_alone(of: str, folder: Path) -> None:
    path = folder / "config.toml"
    if of == "a file":
        path.write_text("port = 7000")
    else:
        path.symlink_to(folder / "nowhere")
    assert default_file.write() is None
    assert [entry.name for entry in folder.iterdir()] == ["config.toml"]
    assert not path.exists() or path.read_text() == "port = 7000"


def test_of_several_that_start_at_once_one_writes(folder: Path) -> None:
    barrier, paths = threading.Barrier(8), list[str | None]()

    def start() -> None:
        barrier.wait()
        paths.append(default_file.write())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(bool, paths)) == [False] * 7 + [True]
    assert (folder / "config.toml").read_text() == default_file.text()


@pytest.mark.parametrize("length", range(0, 6000, 131))
def test_half_of_it_changes_nothing_either(length: int) -> None:
    assert tomllib.loads(default_file.text()[:length]) == {}


def test_b79_a_folder_that_takes_no_file_is_no_error(folder: Path) -> None:
    folder.rmdir()
    assert default_file.write() is None
