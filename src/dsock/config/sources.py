"""Which value of an option counts: flag, environment, config file, default."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass
from pathlib import Path
from typing import Any

from dsock.config import files
from dsock.config.files import ConfigFile
from dsock.errors import StartError
from dsock.settings import Settings, conflict, flag, option_fields, variable
from dsock.values import host_and_port

DEFAULT = "default"

# For the commands that talk to a node; a node has no use for them.
_OF_OTHER_COMMANDS = {"DSOCK_URL", "DSOCK_CONNECT_URL"}

# What Kubernetes gives every pod beside a service that is called "dsock".
_OF_A_SERVICE = re.compile(r"DSOCK_(SERVICE_(HOST|PORT(_.*)?)|PORT_\d+_(TCP|UDP|SCTP).*)")


@dataclass(frozen=True, slots=True)
class Loaded:
    """`sources` says for every option where its value is from: a flag, a variable, a path,
    or `DEFAULT`. `warnings` are about the sources; those about the values have `Settings`."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    file: str = ""
    """The path of the config file that was read, empty for none."""


def load(
    environment: Mapping[str, str],
    flags: Mapping[str, str | None],
    *,
    config_file: str | None = None,
    search: bool = False,
) -> Loaded:
    """The effective settings. An empty value counts as absent.

    `config_file` is the one config file to read; without it, the usual places are looked
    at if `search` is set. Raises `StartError` with one line that names what is wrong and
    where, and shows no secret.
    """
    _refuse_unknown(environment)
    file = _config_file(environment, config_file, search)
    values: dict[str, Any] = {}
    sources = {option.name: DEFAULT for option in option_fields()}
    for option in option_fields():
        if found := _look_up(option, environment, flags, file):
            values[option.name] = _value(option, found)
            sources[option.name] = found.source
    warnings = (*_exposed(file, sources), *_apply_address(values, sources))
    settings = Settings(**values)
    if pair := conflict(settings):
        one, other = (f"{name} ({sources[name]})" for name in pair)
        raise StartError(f"{one} and {other} exclude each other")
    return Loaded(settings, sources, warnings, file.path)


@dataclass(frozen=True, slots=True)
class _Found:
    """A value as text, where it is from, and what a complaint about it begins with."""

    text: str
    source: str
    place: str


def _config_file(
    environment: Mapping[str, str], config_file: str | None, search: bool
) -> ConfigFile:
    if config_file:
        return files.read(config_file)
    path = files.find(environment) if search else None
    return files.read(path, found=True) if path else ConfigFile("")


def _look_up(
    option: Field[Any],
    environment: Mapping[str, str],
    flags: Mapping[str, str | None],
    file: ConfigFile,
) -> _Found | None:
    if text := flags.get(option.name):
        return _Found(text, flag(option), flag(option))
    if option.metadata["secret"] and (found := _in_secret_file(option, environment)):
        return found
    for name in (variable(option), *(["PORT"] if option.name == "port" else [])):
        text = environment.get(name)
        # Kubernetes puts the address of a service called "dsock" into DSOCK_PORT.
        if text and not (option.name == "port" and text.startswith("tcp://")):
            return _Found(text, name, name)
    place = f"{file.path}: {option.name}"
    try:
        text = option.metadata["kind"].text(file.values.get(option.name))
    except ValueError as error:
        raise StartError(f"{place}: {error}") from None
    return _Found(text, file.path, place) if text else None


def _in_secret_file(option: Field[Any], environment: Mapping[str, str]) -> _Found | None:
    name = f"{variable(option)}_FILE"
    path = environment.get(name)
    if not path:
        return None
    if environment.get(variable(option)):
        raise StartError(f"{variable(option)} and {name} exclude each other")
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{name}: {error}") from None
    if not text:
        raise StartError(f"{name}: {path} is empty")
    return _Found(text, name, name)


def _value(option: Field[Any], found: _Found) -> Any:
    try:
        return option.metadata["kind"].read(found.text)
    except ValueError as error:
        why = "cannot be read" if option.metadata["secret"] else str(error)
        raise StartError(f"{found.place}: {why}") from None


def _exposed(file: ConfigFile, sources: Mapping[str, str]) -> list[str]:
    secret = [option.name for option in option_fields() if option.metadata["secret"]]
    held = [name for name in secret if file.path and sources[name] == file.path]
    if not held or not file.others_can_read:
        return []
    return [f"{file.path} has {', '.join(held)} and others can read it: chmod 600 it"]


def _apply_address(values: dict[str, Any], sources: dict[str, str]) -> list[str]:
    """Put an address into `host` and `port`; what there is to say about it."""
    if "address" not in values:
        return []
    said = f"address ({sources['address']}) is deprecated: use port and host"
    host, port = host_and_port(values["address"])
    for name, value in (("port", port), ("host", host)):
        if values.get(name, value) != value:
            said += f"; it went before {name} ({sources[name]}), which says something else"
        values[name], sources[name] = value, sources["address"]
    return [said]


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {variable(option) for option in option_fields()}
    known |= {f"{variable(option)}_FILE" for option in option_fields() if option.metadata["secret"]}
    for name in environment:
        if not name.startswith("DSOCK_") or name in known | _OF_OTHER_COMMANDS:
            continue
        if _OF_A_SERVICE.fullmatch(name):
            continue
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise StartError(f"{name} is no option{hint}")
