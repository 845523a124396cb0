"""Every option can be set in every way, and each way goes before the next."""

from __future__ import annotations

import json
from dataclasses import Field
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsock.cli import main
from dsock.config.sources import DEFAULT, load
from dsock.settings import flag, option_fields, variable

OPTIONS = option_fields()
SECRETS = [option for option in OPTIONS if option.metadata["secret"]]
OTHERS = [option for option in OPTIONS if not option.metadata["secret"]]
FORMATS = ["toml", "json", "yaml", "yml"]

# Two values of each option that are not its default, as a config file may have them.
VALUES: dict[str, tuple[Any, Any]] = {
    "port": (7001, 7002),
    "host": ("127.0.0.1", "::1"),
    "address": ("127.0.0.1:7001", ":7002"),
    "internal_port": (9001, 9002),
    "backend": ("redis", "memory"),
    "processes": (4, "auto"),
    "redis_mode": ("sentinel", "cluster"),
    "redis_host": ("one:6379", "two:6379"),
    "redis_url": ("redis://one", "redis://two"),
    "redis_sentinels": (["one:26379"], ["one:26379", "two:26379"]),
    "redis_sentinel_master": ("one", "two"),
    "redis_sentinel_username": ("one", "two"),
    "redis_sentinel_password": ("one", "two"),
    "redis_username": ("one", "two"),
    "redis_password": ("one", "two"),
    "redis_db": (1, 2),
    "redis_tls": (True, False),
    "redis_max_retries": (1, 2),
    "redis_timeout": ("1s", "1m30s"),
    "redis_key_prefix": ("one:", "two:"),
    "token": (["one"], ["one", "two"]),
    "insecure_no_token": (True, False),
    "jwt_secret": (["one"], ["one", "two"]),
    "default_channels": (["one"], ["one", "two"]),
    "allowed_origins": (["https://one.example"], ["https://*.two.example"]),
    "trusted_proxies": (["10.0.0.1"], ["10.0.0.0/8", "2001:db8::/32"]),
    "messaging_method": ("direct", "redis"),
    "direct_message_hostname": ("one", "two"),
    "direct_message_port": (9001, 9002),
    "ttl_duration": ("10s", "20s"),
    "worker_lease": ("5s", "6s"),
    "report_timeout": ("1s", "500ms"),
    "max_message_size": (1000, "2KiB"),
    "max_client_message_size": (1000, "2KiB"),
    "max_connections": (1, 2),
    "max_connections_per_user": (1, 2),
    "max_connects_per_second": (1, 2),
    "max_connect_failures": (1, 2),
    "max_token_failures": (1, 2),
    "send_buffer_limit": (1000, "2KiB"),
    "send_timeout": ("1s", "500ms"),
    "compression": (False, True),
    "compression_min_size": (1000, "2KiB"),
    "ping_interval": ("1s", "500ms"),
    "ping_timeout": ("1s", "500ms"),
    "drain_delay": ("1s", "500ms"),
    "drain_duration": ("1s", "500ms"),
    "debug": (True, False),
    "log_requests": (True, False),
}


def as_text(option: Field[Any], value: Any) -> str:
    text: str = option.metadata["kind"].text(value)
    return text


def as_read(option: Field[Any], value: Any) -> Any:
    return option.metadata["kind"].read(as_text(option, value))


def written(folder: Path, extension: str, values: dict[str, Any]) -> str:
    """The path of a config file with these values."""
    path = folder / f"config.{extension}"
    if extension == "toml":
        # What JSON writes for strings, numbers, booleans and lists of strings is TOML too.
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        path.write_text("\n".join(lines))
    else:
        path.write_text(json.dumps(values) if extension == "json" else yaml.safe_dump(values))
    path.chmod(0o600)
    return str(path)


def named(option: Field[Any]) -> str:
    return option.name


def test_no_option_is_forgotten_here() -> None:
    assert list(VALUES) == [option.name for option in OPTIONS]


@pytest.mark.parametrize("option", OTHERS, ids=named)
@pytest.mark.parametrize("which", [0, 1])
def test_an_option_can_be_set_by_flag(
    option: Field[Any], which: int, capsys: pytest.CaptureFixture[str]
) -> None:
    value = VALUES[option.name][which]
    arguments = ["config", "--json", "--no-config-file", f"{flag(option)}={as_text(option, value)}"]
    assert main(arguments) == 0
    shown = json.loads(capsys.readouterr().out)[option.name]
    read = option.metadata["kind"].text(shown["value"])
    assert option.metadata["kind"].read(read) == as_read(option, value)
    assert shown["source"] == flag(option)


@pytest.mark.parametrize("option", OPTIONS, ids=named)
@pytest.mark.parametrize("which", [0, 1])
def test_an_option_can_be_set_by_variable(option: Field[Any], which: int) -> None:
    value = VALUES[option.name][which]
    loaded = load({variable(option): as_text(option, value)}, {})
    assert getattr(loaded.settings, option.name) == as_read(option, value)
    assert loaded.sources[option.name] == variable(option)


@pytest.mark.parametrize("option", SECRETS, ids=named)
def test_a_secret_can_be_set_by_a_file_of_its_own(option: Field[Any], tmp_path: Path) -> None:
    value = VALUES[option.name][1]
    (tmp_path / "secret").write_text(f"{as_text(option, value)}\n")
    loaded = load({f"{variable(option)}_FILE": str(tmp_path / "secret")}, {})
    assert getattr(loaded.settings, option.name) == as_read(option, value)
    assert loaded.sources[option.name] == f"{variable(option)}_FILE"


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("option", OPTIONS, ids=named)
@pytest.mark.parametrize("which", [0, 1])
def test_an_option_can_be_set_in_a_config_file(
    option: Field[Any], which: int, extension: str, tmp_path: Path
) -> None:
    value = VALUES[option.name][which]
    path = written(tmp_path, extension, {option.name: value})
    loaded = load({}, {}, config_file=path)
    assert getattr(loaded.settings, option.name) == as_read(option, value)
    assert loaded.sources[option.name] == path


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("option", OPTIONS, ids=named)
def test_in_a_config_file_a_string_as_in_a_variable_will_do(
    option: Field[Any], extension: str, tmp_path: Path
) -> None:
    value = VALUES[option.name][0]
    path = written(tmp_path, extension, {option.name: as_text(option, value)})
    loaded = load({}, {}, config_file=path)
    assert getattr(loaded.settings, option.name) == as_read(option, value)


@pytest.mark.parametrize("option", OTHERS, ids=named)
def test_a_flag_goes_before_a_variable(option: Field[Any]) -> None:
    first, second = (as_text(option, value) for value in VALUES[option.name])
    loaded = load({variable(option): first}, {option.name: second})
    assert getattr(loaded.settings, option.name) == as_read(option, second)
    assert loaded.sources[option.name] == flag(option)


@pytest.mark.parametrize("option", OPTIONS, ids=named)
def test_a_variable_goes_before_a_config_file(option: Field[Any], tmp_path: Path) -> None:
    first, second = VALUES[option.name]
    path = written(tmp_path, "toml", {option.name: first})
    loaded = load({variable(option): as_text(option, second)}, {}, config_file=path)
    assert getattr(loaded.settings, option.name) == as_read(option, second)
    assert loaded.sources[option.name] == variable(option)


@pytest.mark.parametrize("option", SECRETS, ids=named)
def test_the_file_of_a_secret_goes_before_a_config_file(option: Field[Any], tmp_path: Path) -> None:
    first, second = VALUES[option.name]
    path = written(tmp_path, "toml", {option.name: first})
    (tmp_path / "secret").write_text(as_text(option, second))
    environment = {f"{variable(option)}_FILE": str(tmp_path / "secret")}
    loaded = load(environment, {}, config_file=path)
    assert getattr(loaded.settings, option.name) == as_read(option, second)


def test_port_without_prefix_goes_before_a_config_file(tmp_path: Path) -> None:
    loaded = load({"PORT": "2"}, {}, config_file=written(tmp_path, "toml", {"port": 1}))
    assert (loaded.settings.port, loaded.sources["port"]) == (2, "PORT")


@pytest.mark.parametrize("option", OPTIONS, ids=named)
@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_value_in_a_config_file_counts_as_absent(
    option: Field[Any], empty: Any, tmp_path: Path
) -> None:
    loaded = load({}, {}, config_file=written(tmp_path, "json", {option.name: empty}))
    assert getattr(loaded.settings, option.name) == option.default
    assert loaded.sources[option.name] == DEFAULT


def test_an_empty_list_counts_as_absent(tmp_path: Path) -> None:
    loaded = load({}, {}, config_file=written(tmp_path, "toml", {"allowed_origins": []}))
    assert loaded.settings.allowed_origins == ("*",)
