"""The config file: where it is searched for, and what in it is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from dsock.config import files
from dsock.config.sources import Loaded, load
from dsock.errors import StartError
from dsock.settings import Settings

CANARY = "canary-e12f"

GO_DSOCK = """\
address = ":6241"
debug = false
default_channels = "a,b"
direct_message_hostname = "10.0.0.1"
direct_message_port = 6241
jwt_secret = ""
log_requests = false
messaging_method = "redis"
port = 6241
redis_db = 0
redis_host = "localhost:6379"
redis_max_retries = 10
redis_password = ""
redis_tls = false
token = ""
ttl_duration = "60s"
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that are searched, in order; all empty."""
    here, home, etc = tmp_path / "here", tmp_path / "home", tmp_path / "etc"
    folders = [here, home / ".config" / "dsock", etc]
    for folder in folders:
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(files, "ETC", str(etc))
    return folders


def search() -> Loaded:
    return load({"HOME": os.environ["HOME"]}, {}, search=True)


def given(folder: Path, text: str, name: str = "config.toml") -> str:
    """The path of a config file with this text, for its owner alone."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def refusal(path: str) -> str:
    """Why the file is refused: one line that names it and shows no secret."""
    with pytest.raises(StartError, match=f"^{re.escape(path)}: [^\n]+$") as refused:
        load({}, {}, config_file=path)
    assert CANARY not in str(refused.value)
    return str(refused.value)


# --- searching -----------------------------------------------------------------------


def test_without_a_file_there_are_defaults(places: list[Path]) -> None:
    loaded = search()
    assert (loaded.settings, loaded.file) == (Settings(), "")


def test_the_first_file_that_exists_counts_alone(places: list[Path]) -> None:
    texts = {
        "toml": "port = {port}",
        "json": '{{"port": {port}}}',
        "yaml": "port: {port}",
        "yml": "port: {port}",
    }
    wanted = [(folder, extension) for folder in places for extension in texts]
    for port, (folder, extension) in reversed(list(enumerate(wanted, 1))):
        text = texts[extension].format(port=port)
        path = given(folder, text, f"config.{extension}")
        loaded = search()
        assert (loaded.settings.port, loaded.file) == (port, path)
        assert loaded.sources["port"] == path


def test_these_are_the_places_in_this_order(monkeypatch: pytest.MonkeyPatch) -> None:
    folders: list[str] = []

    def nothing(path: str) -> bool:
        if (folder := os.path.dirname(path)) not in folders:
            folders.append(folder)
        return False

    monkeypatch.setattr("os.path.exists", nothing)
    files.find({"HOME": "/home/u"})
    assert folders == [os.getcwd(), "/home/u/.config/dsock", "/etc/dsock"]


def test_a_file_does_not_fill_up_another(places: list[Path]) -> None:
    given(places[1], "redis_db = 3")
    given(places[0], "port = 7000")
    assert search().settings == Settings(port=7000)


def test_without_a_home_the_other_places_are_searched(places: list[Path]) -> None:
    given(places[1], "port = 7000")
    path = given(places[2], "port = 8000")
    assert load({}, {}, search=True).file == path


def test_nothing_is_searched_for_unless_asked(places: list[Path]) -> None:
    given(places[0], "port = 7000")
    assert load({}, {}).settings == Settings()


def test_a_file_that_is_named_is_the_only_one(places: list[Path], tmp_path: Path) -> None:
    given(places[0], "port = 7000")
    path = given(tmp_path, "redis_db = 3", "other.toml")
    assert load({}, {}, config_file=path, search=True).settings == Settings(redis_db=3)


def test_a_folder_that_was_removed_has_no_file(places: list[Path]) -> None:
    places[0].rmdir()
    assert search().settings == Settings()


# --- reading -------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["port", "PORT", "Port"])
def test_case_does_not_matter_in_a_name(key: str, tmp_path: Path) -> None:
    assert load({}, {}, config_file=given(tmp_path, f"{key} = 7000")).settings.port == 7000


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.toml", ""), ("a.toml", "# no\n"), ("a.json", "{}"), ("a.yaml", ""), ("a.yml", "# no\n")],
)
def test_a_file_may_be_empty(name: str, text: str, tmp_path: Path) -> None:
    assert load({}, {}, config_file=given(tmp_path, text, name)).settings == Settings()


def test_a_file_with_every_option_of_the_go_dsock_is_read(tmp_path: Path) -> None:
    path = given(tmp_path, GO_DSOCK)
    settings = load({}, {}, config_file=path).settings
    assert settings == Settings(
        address=":6241",
        redis_host="localhost:6379",
        default_channels=("a", "b"),
        direct_message_hostname="10.0.0.1",
        direct_message_port=6241,
    )


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    path = given(tmp_path, "\ufeffport = 7000")
    assert load({}, {}, config_file=path).settings.port == 7000


@pytest.mark.parametrize(
    ("key", "near"), [("prot", "port"), ("redis_hots", "redis_host"), ("tokens", "token")]
)
def test_a_misspelt_name_is_refused_with_the_nearest(key: str, near: str, tmp_path: Path) -> None:
    said = refusal(given(tmp_path, f'{key} = "{CANARY}"'))
    assert f"'{key}' is no option; did you mean {near}?" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = true", "port: must be a whole number"),
        ("debug = 1", "debug: must be true or false"),
        ("port = 65536", "port: not a port"),
        ("redis_host = 6379", "redis_host: must be a string"),
        ("ttl_duration = 60", "ttl_duration: must be a string"),
        (f'token = ["{CANARY}", 1]', "token: must be a list of strings"),
        (f'token = {{ a = "{CANARY}" }}', "token: must be a list of strings"),
        ("[redis]\nhost = 1", "'redis' is no option"),
        ('"a\\nb" = 1', "is no option"),
    ],
)
def test_what_cannot_be_a_value_is_refused(text: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(given(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", f"port = 1\ntoken = {CANARY}"),
        ("a.toml", f'port = 1\ntoken = "{CANARY}'),
        ("a.json", f'{{"port": 1,\n"token": {CANARY}}}'),
        ("a.yaml", f'port: 1\ntoken: "a" {CANARY}'),
        ("a.yml", f"port: 1\ntoken: [{CANARY}"),
    ],
)
def test_what_cannot_be_parsed_is_refused_with_its_line(
    name: str, text: str, tmp_path: Path
) -> None:
    said = refusal(given(tmp_path, text, name))
    assert re.search(r"this is not (TOML|JSON|YAML) \((line [23]|end of document)\)", said)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "[" * 100_000),
        ("a.json", f'{{"token": "{CANARY}", "port": {"1" * 5000}}}'),
        ("a.yaml", 'port: !!int ""'),
        ("a.yaml", f"token: !!python/object:os.system [{CANARY}]"),
        ("a.yaml", f"token: {CANARY}\nhost: 2026-99-99"),
        ("a.yaml", f"token: {CANARY}\x01"),
        ("a.yaml", f"? [{CANARY}]\n: 1"),
    ],
    ids=["depth", "digits", "empty number", "object", "date", "control character", "list as key"],
)
def test_whatever_a_parser_trips_over_is_refused_in_one_line(
    name: str, text: str, tmp_path: Path
) -> None:
    assert "this is not" in refusal(given(tmp_path, text, name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "port = 1\nport = 2"),
        ("a.toml", "port = 1\nPORT = 2"),
        ("a.json", '{"port": 1, "port": 2}'),
        ("a.json", '{"port": 1, "Port": 2}'),
        ("a.yaml", "port: 1\nport: 2"),
        ("a.yaml", "port: 1\nPORT: 2"),
    ],
)
def test_an_option_that_is_there_twice_is_refused(name: str, text: str, tmp_path: Path) -> None:
    assert re.search("'port' is there twice|not TOML", refusal(given(tmp_path, text, name)))


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", f'["{CANARY}"]'), ("a.json", "null"), ("a.yaml", CANARY), ("a.yml", "- port: 1")],
)
def test_what_has_no_names_is_refused(name: str, text: str, tmp_path: Path) -> None:
    assert "names of options" in refusal(given(tmp_path, text, name))


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(f'token = "{CANARY}\xff"'.encode("latin-1"))
    assert "not UTF-8" in refusal(str(path))


def test_a_file_that_is_not_there_is_refused_when_it_was_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(str(tmp_path / "missing.toml"))


@pytest.mark.parametrize("name", ["config", "config.ini", ".toml"])
def test_a_file_of_another_format_is_refused(name: str, tmp_path: Path) -> None:
    assert ".toml, .json, .yaml, .yml" in refusal(given(tmp_path, "", name))


@pytest.mark.parametrize("text", ["prot = 1", "["])
def test_a_file_that_nobody_named_may_be_of_another_program(text: str, places: list[Path]) -> None:
    given(places[0], text)
    with pytest.raises(StartError, match="--no-config-file"):
        search()


def test_a_folder_of_that_name_is_refused(places: list[Path]) -> None:
    (places[0] / "config.toml").mkdir()
    with pytest.raises(StartError, match=r"config\.toml: Is a directory"):
        search()


# --- secrets -------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True)])
def test_a_secret_that_others_can_read_is_warned_of(
    mode: int, warned: bool, tmp_path: Path
) -> None:
    path = given(tmp_path, f'token = "{CANARY}"')
    os.chmod(path, mode)
    warnings = load({}, {}, config_file=path).warnings
    assert any(path in warning and "token" in warning for warning in warnings) is warned
    assert not any(CANARY in warning for warning in warnings)


def test_a_file_without_a_secret_may_be_read_by_others(tmp_path: Path) -> None:
    path = given(tmp_path, 'port = 7000\ntoken = ""')
    os.chmod(path, 0o644)
    assert load({}, {}, config_file=path).warnings == ()
