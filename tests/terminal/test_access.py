"""Where the API and the workers are, and which token is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsock.terminal.access import access, connect_url
from dsock.terminal.failures import Misused


@pytest.mark.parametrize(
    ("flag", "variable", "url"),
    [
        (None, None, "http://localhost:6241"),
        (None, "", "http://localhost:6241"),
        (None, "https://a.example/", "https://a.example"),
        ("http://b/dsock/", "https://a.example", "http://b/dsock"),
        ("http://[::1]:80", None, "http://[::1]:80"),
    ],
)
def test_the_api_is_where_the_flag_says_or_else_the_variable(
    flag: str | None, variable: str | None, url: str
) -> None:
    environment = {} if variable is None else {"DSOCK_URL": variable}
    assert access(flag, None, environment).url == url


@pytest.mark.parametrize(
    ("flag", "variable", "api", "url"),
    [
        (None, None, "http://a:6241", "ws://a:6241/connect"),
        (None, "", "https://a/dsock", "wss://a/dsock/connect"),
        (None, "wss://live.example.com", "http://a", "wss://live.example.com/connect"),
        ("ws://b/", "wss://live.example.com", "http://a", "ws://b/connect"),
        ("ws://b/other?x=1", None, "http://a", "ws://b/other?x=1"),
    ],
)
def test_clients_connect_beside_the_api_or_where_they_are_told_to(
    flag: str | None, variable: str | None, api: str, url: str
) -> None:
    environment = {} if variable is None else {"DSOCK_CONNECT_URL": variable}
    assert connect_url(flag, environment, api) == url


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6241",
        "ftp://a",
        "http://",
        "http://a:99999",
        "http://[::1",
        "http://a/ b",
        "http://a\n",
        "http://ä",
        "http://a/#b",
        "http://a?b",
        "http://u@a",
        "http://u:secret@a",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(Misused, match=r"^DSOCK_URL: ") as refused:
        access(None, None, {"DSOCK_URL": url})
    assert "secret" not in str(refused.value)


def test_the_token_of_the_flag_goes_before_the_environments(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(" one \n")
    (tmp_path / "two").write_text("two, three")
    file = {"DSOCK_TOKEN_FILE": str(tmp_path / "two")}
    assert access(None, str(tmp_path / "one"), {"DSOCK_TOKEN": "four"}).token == "one"
    assert access(None, None, file).token == "two"
    assert access(None, None, {"DSOCK_TOKEN": "four"}).token == "four"
    assert access(None, None, {"DSOCK_TOKEN": " , "}).token is None
    with pytest.raises(Misused, match="exclude each other"):
        access(None, None, file | {"DSOCK_TOKEN": "four"})


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(Misused, match=r"^--token-file: "):
        access(None, str(tmp_path / "token"), {})


def test_how_to_reach_the_api_does_not_show_the_token() -> None:
    assert "canary" not in repr(access(None, None, {"DSOCK_TOKEN": "canary"}))
