"""The config file: where it is, and what it says."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsock.config.formats import PARSERS, parse
from dsock.errors import StartError
from dsock.settings import option_fields

ETC = "/etc/dsock"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A config file that was read; `values` by the names of options, still as written."""

    path: str
    values: Mapping[str, Any] = field(default_factory=dict)
    others_can_read: bool = False


def find(environment: Mapping[str, str]) -> str | None:
    """The path of the first config file that exists."""
    home = environment.get("HOME")
    folders = [_here(), *([os.path.join(home, ".config", "dsock")] if home else []), ETC]
    for folder in folders:
        for extension in PARSERS:
            path = os.path.join(folder, f"config.{extension}")
            # False too where it cannot be seen, as the home of another user.
            if os.path.exists(path):
                return path
    return None


def read(path: str, found: bool = False) -> ConfigFile:
    """Read a config file. `found` says that nobody named it: it may be another program's.

    Raises `StartError`, which never shows what the file says.
    """
    try:
        return _read(path)
    except ValueError as error:
        hint = "; use --no-config-file if it is not for dsock" if found else ""
        raise StartError(f"{path}: {error}{hint}") from None


def _read(path: str) -> ConfigFile:
    extension = Path(path).suffix.removeprefix(".").lower()
    if extension not in PARSERS:
        raise ValueError(f"the name must end in one of .{', .'.join(PARSERS)}")
    try:
        with open(path, encoding="utf-8-sig") as file:
            content = parse(file.read(), extension)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise ValueError(error.strerror) from None
    except UnicodeDecodeError:
        raise ValueError("this is not UTF-8") from None
    return ConfigFile(path, _by_option(content), others_can_read=bool(mode & 0o077))


def _by_option(content: Mapping[Any, Any]) -> dict[str, Any]:
    known = {option.name for option in option_fields()}
    values: dict[str, Any] = {}
    for key, value in content.items():
        name = str(key).lower()
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{key!r} is no option{hint}")
        if name in values:
            raise ValueError(f"{name!r} is there twice")
        values[name] = value
    return values


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        # It was removed; whatever is asked for in it is not there.
        return ""
