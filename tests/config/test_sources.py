"""Sources: where a value comes from, and which values are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dsock.config import sources
from dsock.errors import StartError
from dsock.settings import Settings

CANARY = "canary-4f7d2e"
SECRETS = ["redis_password", "redis_sentinel_password", "redis_url", "token", "jwt_secret"]


def load(environment: dict[str, str], flags: dict[str, str | None]) -> Settings:
    return sources.load(environment, flags).settings


def test_without_flags_and_environment_there_are_defaults() -> None:
    assert load({}, {}) == Settings()


def test_a_flag_goes_before_the_environment() -> None:
    assert load({"DSOCK_PORT": "1", "PORT": "2"}, {"port": "3"}).port == 3


@pytest.mark.parametrize(
    ("environment", "port"),
    [
        ({"DSOCK_PORT": "1", "PORT": "2"}, 1),
        ({"PORT": "2"}, 2),
        ({"DSOCK_PORT": "", "PORT": "2"}, 2),
        ({"DSOCK_PORT": "", "PORT": ""}, 6241),
    ],
)
def test_the_environment_goes_before_the_default(environment: dict[str, str], port: int) -> None:
    assert load(environment, {"port": None}).port == port


def test_an_empty_flag_counts_as_absent() -> None:
    assert load({"DSOCK_HOST": "::1"}, {"host": ""}).host == "::1"


@pytest.mark.parametrize("option", ["HOST", "DEBUG", "TOKEN"])
def test_only_the_port_has_a_variable_without_prefix(option: str) -> None:
    assert load({option: "true"}, {}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("DSOCK_PORT", "0", 0),
        ("DSOCK_PORT", "65535", 65535),
        ("DSOCK_INTERNAL_PORT", "9000", 9000),
        ("DSOCK_BACKEND", "redis", "redis"),
        ("DSOCK_REDIS_HOST", "db:1", "db:1"),
        ("DSOCK_REDIS_PASSWORD", "pw", "pw"),
        ("DSOCK_REDIS_DB", "3", 3),
        ("DSOCK_REDIS_MAX_RETRIES", "0", 0),
        ("DSOCK_REDIS_TLS", "true", True),
        ("DSOCK_REDIS_TLS", "FALSE", False),
        ("DSOCK_DEBUG", "1", True),
        ("DSOCK_LOG_REQUESTS", "0", False),
        ("DSOCK_TOKEN", "one", ("one",)),
        ("DSOCK_TOKEN", "one, two", ("one", "two")),
        ("DSOCK_JWT_SECRET", "old,new", ("old", "new")),
        ("DSOCK_DEFAULT_CHANNELS", "a,b,,a", ("a", "b")),
        ("DSOCK_ALLOWED_ORIGINS", "https://a.b, https://*.c", ("https://a.b", "https://*.c")),
        ("DSOCK_MESSAGING_METHOD", "redis", "redis"),
        ("DSOCK_MESSAGING_METHOD", "direct", "direct"),
        ("DSOCK_DIRECT_MESSAGE_HOSTNAME", "worker-1", "worker-1"),
        ("DSOCK_DIRECT_MESSAGE_PORT", "7000", 7000),
        ("DSOCK_COMPRESSION", "false", False),
        ("DSOCK_COMPRESSION_MIN_SIZE", "2KiB", 2048),
        ("DSOCK_TTL_DURATION", "1s", 1),
        ("DSOCK_TTL_DURATION", "1m30s", 90),
        ("DSOCK_DRAIN_DELAY", "0s", 0),
        ("DSOCK_MAX_MESSAGE_SIZE", "1", 1),
        ("DSOCK_MAX_MESSAGE_SIZE", "4096", 4096),
        ("DSOCK_MAX_MESSAGE_SIZE", "2KiB", 2048),
        ("DSOCK_SEND_BUFFER_LIMIT", "1 mib", 2**20),
        ("DSOCK_MAX_CLIENT_MESSAGE_SIZE", "1GiB", 2**30),
    ],
)
def test_a_variable_sets_its_option(variable: str, text: str, value: Any) -> None:
    option = variable.removeprefix("DSOCK_").lower()
    assert getattr(load({variable: text}, {}), option) == value


BAD = [
    ("port", "x"),
    ("port", "65536"),
    ("port", "-1"),
    ("port", "80.0"),
    ("address", "6241"),
    ("address", ":65536"),
    ("direct_message_port", "port"),
    ("compression", "gzip"),
    ("compression_min_size", "0"),
    ("internal_port", "none"),
    ("backend", "postgres"),
    ("redis_db", "-1"),
    ("redis_db", "zero"),
    ("redis_max_retries", "-1"),
    ("redis_tls", "maybe"),
    ("redis_timeout", "0s"),
    ("redis_timeout", "2"),
    ("insecure_no_token", "yes!"),
    ("default_channels", "a,\x01"),
    ("default_channels", "x" * 256),
    ("messaging_method", "pigeon"),
    ("worker_lease", "-10s"),
    ("report_timeout", "soon"),
    ("max_message_size", "0"),
    ("max_message_size", "-1"),
    ("max_message_size", "1MB"),
    ("max_client_message_size", "KiB"),
    ("send_buffer_limit", "1.5MiB"),
    ("send_timeout", "0"),
    ("ping_interval", "0s"),
    ("ping_timeout", "-1s"),
    ("drain_delay", "-1s"),
    ("drain_duration", "ten\nseconds"),
    ("debug", "2"),
]


@pytest.mark.parametrize(("option", "text"), BAD)
def test_a_bad_variable_is_refused_in_one_line_that_names_it(option: str, text: str) -> None:
    variable = f"DSOCK_{option.upper()}"
    with pytest.raises(StartError, match=f"^{variable}: [^\n]+$"):
        load({variable: text}, {})


@pytest.mark.parametrize(("option", "text"), BAD)
def test_a_bad_flag_is_refused_in_one_line_that_names_it(option: str, text: str) -> None:
    flag = f"--{option.replace('_', '-')}"
    with pytest.raises(StartError, match=f"^{flag}: [^\n]+$"):
        load({}, {option: text})


def test_a_bad_port_is_refused_by_the_variable_that_gave_it() -> None:
    with pytest.raises(StartError, match=r"^PORT: "):
        load({"PORT": "http"}, {})


@pytest.mark.parametrize("text", ["0", "0s", "-1s", "1ms", "999ms"])
def test_b80_a_ttl_that_is_no_time_to_live_is_refused(text: str) -> None:
    with pytest.raises(StartError, match=r"^DSOCK_TTL_DURATION: "):
        load({"DSOCK_TTL_DURATION": text}, {})


def test_what_excludes_each_other_is_refused_with_its_sources(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('redis_host = "db:6379"')
    environment = {"DSOCK_REDIS_URL": f"redis://:{CANARY}@db"}
    with pytest.raises(StartError, match="exclude each other") as refused:
        sources.load(environment, {}, config_file=str(path))
    assert f"redis_url (DSOCK_REDIS_URL) and redis_host ({path})" in str(refused.value)
    assert CANARY not in str(refused.value)


def test_an_api_cannot_be_open_to_all_and_have_a_token() -> None:
    with pytest.raises(StartError, match="exclude each other") as refused:
        load({"DSOCK_TOKEN": CANARY}, {"insecure_no_token": "true"})
    assert CANARY not in str(refused.value)


# --- secrets -------------------------------------------------------------------------


@pytest.mark.parametrize("option", SECRETS)
def test_a_secret_can_come_from_a_file(option: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{CANARY}\n")
    value = getattr(load({f"DSOCK_{option.upper()}_FILE": str(path)}, {}), option)
    assert value in (CANARY, (CANARY,))


@pytest.mark.parametrize("option", SECRETS)
def test_a_secret_comes_from_a_file_or_a_variable_not_from_both(
    option: str, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    path.write_text(CANARY)
    variable = f"DSOCK_{option.upper()}"
    with pytest.raises(StartError, match="exclude each other") as refused:
        load({variable: CANARY, f"{variable}_FILE": str(path)}, {})
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize("option", SECRETS)
def test_a_file_that_is_not_there_is_refused_by_its_variable(option: str, tmp_path: Path) -> None:
    variable = f"DSOCK_{option.upper()}_FILE"
    with pytest.raises(StartError, match=f"^{variable}: [^\n]+$"):
        load({variable: str(tmp_path / "missing")}, {})


def test_a_file_that_is_no_text_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(CANARY.encode() + b"\xff")
    with pytest.raises(StartError, match=r"^DSOCK_TOKEN_FILE: [^\n]+$") as refused:
        load({"DSOCK_TOKEN_FILE": str(path)}, {})
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(("option", "text"), BAD)
def test_no_refusal_shows_a_secret(option: str, text: str) -> None:
    secrets = {f"DSOCK_{name.upper()}": CANARY for name in SECRETS}
    with pytest.raises(StartError) as refused:
        load({**secrets, f"DSOCK_{option.upper()}": text}, {})
    assert CANARY not in str(refused.value)


def test_what_is_wrong_with_a_secret_is_not_said() -> None:
    with pytest.raises(StartError, match=r"^DSOCK_TOKEN: cannot be read$"):
        load({"DSOCK_TOKEN": ",,"}, {})


# --- variables that are no option ----------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("DSOCK_TOKN", "DSOCK_TOKEN"),
        ("DSOCK_JWT_SECRTE", "DSOCK_JWT_SECRET"),
        ("DSOCK_REDIS_HOSTNAME", "DSOCK_REDIS_HOST"),
        ("DSOCK_TTL_DURATIONS", "DSOCK_TTL_DURATION"),
        ("DSOCK_TOKEN_FIEL", "DSOCK_TOKEN_FILE"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(variable: str, near: str) -> None:
    with pytest.raises(StartError) as refused:
        load({variable: CANARY}, {})
    assert re.fullmatch(f"{variable} .*did you mean {near}[?]", str(refused.value))


@pytest.mark.parametrize("variable", ["DSOCK_", "DSOCK_PORT_FILE", "DSOCK_QUUX_XYZZY"])
def test_a_variable_that_is_no_option_is_refused(variable: str) -> None:
    with pytest.raises(StartError, match=f"^{variable} is no option"):
        load({variable: CANARY}, {})


@pytest.mark.parametrize("variable", ["DSOCK_URL", "DSOCK_CONNECT_URL"])
def test_the_variables_of_other_commands_are_no_mistake(variable: str) -> None:
    assert load({variable: "http://localhost:6241"}, {}) == Settings()


@pytest.mark.parametrize("variable", ["PATH", "dsock_port", "DSOCKS_PORT", "MY_DSOCK_PORT"])
def test_the_variables_of_others_are_not_our_business(variable: str) -> None:
    assert load({variable: "x"}, {}) == Settings()


def test_what_kubernetes_says_of_a_service_called_dsock_is_no_option() -> None:
    settings = load(
        {
            "DSOCK_SERVICE_HOST": "10.0.0.1",
            "DSOCK_SERVICE_PORT": "6241",
            "DSOCK_SERVICE_PORT_HTTP": "6241",
            "DSOCK_PORT": "tcp://10.0.0.1:6241",
            "DSOCK_PORT_6241_TCP": "tcp://10.0.0.1:6241",
            "DSOCK_PORT_6241_TCP_ADDR": "10.0.0.1",
        },
        {},
    )
    assert settings == Settings()


@pytest.mark.parametrize("origin", ["example.com", "https://example.com/", "https://", "*.com"])
def test_what_is_no_origin_cannot_be_allowed(origin: str) -> None:
    with pytest.raises(StartError, match="not an origin"):
        load({"DSOCK_ALLOWED_ORIGINS": f"https://good.example,{origin}"}, {})


def test_spaces_around_channels_are_not_part_of_their_names() -> None:
    channels = load({"DSOCK_DEFAULT_CHANNELS": "news, sports"}, {}).default_channels
    assert channels == ("news", "sports")


@pytest.mark.parametrize(
    "proxy", ["proxy.example", "*", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", ":80"]
)
def test_a_proxy_that_is_no_address_or_network_is_refused(proxy: str) -> None:
    with pytest.raises(StartError, match="not an address or network"):
        load({"DSOCK_TRUSTED_PROXIES": f"10.0.0.0/8,{proxy}"}, {})
