"""`dsock config`: what counts and where it is from, without the secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsock.config.show import as_json, table
from dsock.config.sources import load
from dsock.settings import option_fields

CANARY = "canary-5h0w"
SECRETS = [option.name for option in option_fields() if option.metadata["secret"]]


def row(shown: str, option: str) -> tuple[str, str]:
    """Value and source of an option in the table."""
    (line,) = (line for line in shown.splitlines() if line.split()[0] == option)
    value, _, source = line.removeprefix(option).strip().rpartition("  ")
    return value.strip(), source


def test_every_option_has_a_line_and_the_columns_are_aligned() -> None:
    lines = table(load({}, {})).splitlines()
    assert [line.split()[0] for line in lines] == [option.name for option in option_fields()]
    (column,) = {line.rindex("  default") for line in lines}
    assert all(line[:column].strip() for line in lines)


@pytest.mark.parametrize(
    ("option", "text", "shown"),
    [
        ("port", "7000", "7000"),
        ("ttl_duration", "90s", "1m30s"),
        ("report_timeout", "0.5s", "500ms"),
        ("max_message_size", "65536", "64KiB"),
        ("default_channels", "a, b", "a,b"),
        ("compression", "0", "false"),
        ("internal_port", "", "none"),
        ("host", "", "all interfaces"),
        ("redis_host", "", "localhost:6379"),
        ("ping_interval", "", "60s"),
    ],
)
def test_a_value_is_shown_in_the_words_of_a_user(option: str, text: str, shown: str) -> None:
    variable = f"DSOCK_{option.upper()}"
    source = variable if text else "default"
    assert row(table(load({variable: text}, {})), option) == (shown, source)


def test_each_source_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("redis_db = 3")
    shown = table(load({"PORT": "7000"}, {"debug": "true"}, config_file=str(path)))
    assert row(shown, "redis_db") == ("3", str(path))
    assert row(shown, "port") == ("7000", "PORT")
    assert row(shown, "debug") == ("true", "--debug")
    assert row(shown, "redis_tls") == ("false", "default")


@pytest.mark.parametrize("way", ["variable", "file of its own", "config file"])
@pytest.mark.parametrize("option", SECRETS)
def test_a_secret_is_masked_wherever_it_is_from(option: str, way: str, tmp_path: Path) -> None:
    variable = f"DSOCK_{option.upper()}"
    (tmp_path / "secret").write_text(CANARY)
    (tmp_path / "config.toml").write_text(f'{option} = "{CANARY}"')
    environment, config_file = {
        "variable": ({variable: CANARY}, None),
        "file of its own": ({f"{variable}_FILE": str(tmp_path / "secret")}, None),
        "config file": ({}, str(tmp_path / "config.toml")),
    }[way]
    loaded = load(environment, {}, config_file=config_file)
    assert row(table(loaded), option)[0] == "***"
    entry = json.loads(as_json(loaded))[option]
    assert entry == {"value": "***", "source": loaded.sources[option], "secret": True}
    assert CANARY not in table(loaded) + as_json(loaded)


def test_programs_get_values_as_a_config_file_would_have_them() -> None:
    environment = {"DSOCK_DEFAULT_CHANNELS": "a,b", "DSOCK_TTL_DURATION": "90s"}
    shown = json.loads(as_json(load(environment, {"port": "7000"})))
    assert list(shown) == [option.name for option in option_fields()]
    assert shown["port"] == {"value": 7000, "source": "--port"}
    assert shown["default_channels"]["value"] == ["a", "b"]
    assert shown["ttl_duration"]["value"] == "1m30s"
    assert shown["max_message_size"] == {"value": 2**20, "source": "default"}
    assert shown["debug"]["value"] is False
    assert shown["internal_port"]["value"] is None
    assert shown["token"] == {"value": None, "source": "default", "secret": True}


def test_what_programs_get_can_be_a_config_file(tmp_path: Path) -> None:
    settings = load({"DSOCK_DEFAULT_CHANNELS": "a,b", "DSOCK_PORT": "7000"}, {})
    values = {name: entry["value"] for name, entry in json.loads(as_json(settings)).items()}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    assert load({}, {}, config_file=str(path)).settings == settings.settings
