"""The command: its help, its flags, and how it says no."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsock import __version__
from dsock.cli import ROLES, _show_token, main
from dsock.config import files
from dsock.settings import option_fields

CANARY = "canary-91c0aa"
OF_A_NODE = [*ROLES, "config"]
"""The commands that take the options of a node."""

SECRETS = [option.name for option in option_fields() if option.metadata["secret"]]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(files, "ETC", str(tmp_path))
    for variable in os.environ:
        if variable.startswith("DSOCK_") or variable == "PORT":
            monkeypatch.delenv(variable)


def help_of(role: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([role, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in (*ROLES, "config"))


@pytest.mark.parametrize("role", OF_A_NODE)
def test_the_help_of_a_command_names_its_options(
    role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(role, capsys)
    for option in option_fields():
        mine = role in ("serve", "config") or option.metadata["only"] in ("", role)
        flagged = mine and not option.metadata["secret"]
        assert (f"--{option.name.replace('_', '-')} " in text) is flagged


@pytest.mark.parametrize("role", OF_A_NODE)
@pytest.mark.parametrize("option", SECRETS)
def test_a_secret_has_no_flag_and_is_not_repeated(
    role: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([role, f"--{option.replace('_', '-')}", CANARY])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert f"DSOCK_{option.upper()}_FILE" in said
    assert CANARY not in said


@pytest.mark.parametrize("role", OF_A_NODE)
def test_the_help_says_how_to_set_a_secret(role: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "DSOCK_NAME_FILE" in help_of(role, capsys)


def test_the_version_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"dsock {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["serve", "--nonsense"],
        ["serve", "--por", "1"],
        ["serve", "extra"],
        ["worker", "--report-timeout", "1s"],
        ["api", "--ping-interval", "1s"],
        ["serve", "--config-file", "a.toml", "--no-config-file"],
        ["serve", "--json"],
    ],
)
def test_arguments_that_make_no_sense_end_with_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("dsock")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["serve", "--port", "x"], "dsock serve: --port: "),
        (["worker", "--ttl-duration", "1ms"], "dsock worker: --ttl-duration: "),
        (["api", "--redis-tls=maybe"], "dsock api: --redis-tls: "),
        (["config", "--port", "x"], "dsock config: --port: "),
        (["config", "--config-file", "missing.toml"], "dsock config: missing.toml: "),
        (["serve", "--config-file", "missing.toml"], "dsock serve: missing.toml: "),
    ],
)
def test_a_bad_option_ends_with_status_2_and_one_line(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(error)


def test_a_switch_needs_no_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DSOCK_TOKEN", CANARY)
    assert main(["serve", "--insecure-no-token"]) == 2
    error = capsys.readouterr().err
    assert "exclude each other" in error
    assert CANARY not in error


def test_a_misspelt_variable_stops_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DSOCK_TOKN", CANARY)
    assert main(["serve"]) == 2
    error = capsys.readouterr().err
    assert "did you mean DSOCK_TOKEN?" in error
    assert CANARY not in error


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["serve", "--prot", "1"], "--port"),
        (["worker", "--no-config"], "--no-config-file"),
        (["config", "--jsn"], "--json"),
    ],
)
def test_a_misspelt_flag_is_refused_with_the_nearest(
    arguments: list[str], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert f"did you mean {near}?" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["--nonsense", "--token", "--prot"])
def test_the_value_of_a_refused_flag_is_not_repeated(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["serve", f"{given}={CANARY}"])
    said = capsys.readouterr().err
    assert given in said
    assert CANARY not in said


def test_config_shows_what_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text("port = 7000\nredis_db = 3")
    monkeypatch.setenv("DSOCK_TOKEN", CANARY)
    assert main(["config", "--port", "8000"]) == 0
    said = capsys.readouterr()
    lines = {line.split()[0]: line.split()[1:] for line in said.out.splitlines()}
    assert lines["port"] == ["8000", "--port"]
    assert lines["redis_db"] == ["3", str(tmp_path / "config.toml")]
    assert lines["token"] == ["***", "DSOCK_TOKEN"]
    assert lines["debug"] == ["false", "default"]
    assert CANARY not in said.out + said.err


def test_config_shows_it_to_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--json", "--debug"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["debug"] == {"value": True, "source": "--debug"}
    assert said.err == ""


def test_config_says_its_warnings_beside(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--insecure-no-token", "--address", ":7000", "--port", "1"]
    assert main(["config", *arguments]) == 0
    said = capsys.readouterr()
    assert "insecure_no_token is set" in said.err
    assert "went before port (--port)" in said.err
    assert "warning" not in said.out


def test_config_writes_no_file(tmp_path: Path) -> None:
    assert main(["config"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_without_config_files_none_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text("port = 7000")
    assert main(["config", "--json", "--no-config-file"]) == 0
    assert json.loads(capsys.readouterr().out)["port"]["value"] == 6241


def test_what_cannot_start_writes_no_file(tmp_path: Path) -> None:
    assert main(["api"]) == 2
    assert main(["serve", "--port", "x"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_variables_of_other_commands_do_not_stop_a_node(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DSOCK_URL", "http://localhost:6241")
    monkeypatch.setenv("DSOCK_CONNECT_URL", "ws://localhost:6241/connect")
    assert main(["config"]) == 0
    assert "DSOCK_URL" not in capsys.readouterr().out


def test_who_has_read_enough_of_the_settings_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nobody_reads:
        shown = subprocess.run(
            [sys.executable, "-m", "dsock", "config", "--no-config-file"],
            stdout=nobody_reads,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (shown.returncode, shown.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("host", "port", "base", "is_said"),
    [
        ("0.0.0.0", 6241, "http://localhost:6241", False),
        ("::", 7000, "http://localhost:7000", True),
        ("127.0.0.2", 6241, "http://127.0.0.2:6241", True),
        ("::1", 7000, "http://[::1]:7000", True),
    ],
)
def test_the_address_that_is_shown_at_start_is_one_that_answers(
    capsys: pytest.CaptureFixture[str], host: str, port: int, base: str, is_said: bool
) -> None:
    _show_token(host, port, "made-token")
    said = capsys.readouterr().out
    assert f'curl -X POST "{base}/claim?user=1"' in said
    assert (f"export DSOCK_URL={base}\n" in said) is is_said
