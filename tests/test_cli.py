"""The command: its help, its flags, and how it says no."""

from __future__ import annotations

import os

import pytest

from dsock import __version__
from dsock.cli import ROLES, main
from dsock.settings import option_fields

CANARY = "canary-91c0aa"
SECRETS = [option.name for option in option_fields() if option.metadata["secret"]]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert all(role in out for role in ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_the_help_of_a_command_names_its_options(
    role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(role, capsys)
    for option in option_fields():
        mine = role == "serve" or option.metadata["only"] in ("", role)
        flagged = mine and not option.metadata["secret"]
        assert (f"--{option.name.replace('_', '-')} " in text) is flagged


@pytest.mark.parametrize("role", ROLES)
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


@pytest.mark.parametrize("role", ROLES)
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
        ["worker", "--max-message-size", "1"],
        ["api", "--ping-interval", "1s"],
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
