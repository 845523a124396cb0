"""Settings: what is declared, what is warned of, and what excludes what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsock.settings import Settings, conflict, default_text, option_fields

SECRETS = ["redis_password", "redis_sentinel_password", "redis_url", "token", "jwt_secret"]
ROOT = Path(__file__).parent.parent


def test_the_page_of_settings_is_not_stale() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "settings_table.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    "option",
    [
        option
        for option in option_fields()
        if option.default is not None and isinstance(option.default, bool | int | float)
    ],
    ids=lambda option: option.name,
)
def test_the_default_in_the_help_is_the_default(option: Any) -> None:
    assert option.metadata["kind"].read(default_text(option)) == option.default


def test_these_options_are_secrets() -> None:
    secret = {option.name for option in option_fields() if option.metadata["secret"]}
    assert secret == set(SECRETS)


@pytest.mark.parametrize(("seconds", "warned"), [(1, True), (9.9, True), (10, False)])
def test_b80_a_ttl_below_ten_seconds_is_warned_of(seconds: float, warned: bool) -> None:
    warnings = Settings(ttl_duration=seconds).warnings()
    assert any("ttl_duration" in warning for warning in warnings) is warned


@pytest.mark.parametrize(
    ("secrets", "warned"),
    [(("s" * 31,), True), (("s" * 32,), False), (("s" * 32, "s"), True)],
)
def test_a_short_jwt_secret_is_warned_of_and_not_shown(
    secrets: tuple[str, ...], warned: bool
) -> None:
    warnings = Settings(jwt_secret=secrets).warnings()
    assert any("jwt_secret is shorter" in warning for warning in warnings) is warned
    assert not any("sss" in warning for warning in warnings)


def test_the_defaults_are_nothing_to_warn_of() -> None:
    assert Settings().warnings() == []


def test_an_api_that_is_open_to_all_is_warned_of() -> None:
    (warning,) = Settings(insecure_no_token=True).warnings()
    assert "insecure_no_token" in warning


@pytest.mark.parametrize(
    "options",
    [
        {"insecure_no_token": True, "token": ("one",)},
        {"redis_url": "redis://db", "redis_host": "db:6379"},
    ],
    ids=lambda options: " and ".join(options),
)
def test_some_options_exclude_each_other(options: dict[str, Any]) -> None:
    assert conflict(Settings(**options)) == tuple(options)
    for name, value in options.items():
        assert conflict(Settings(**{name: value})) is None
