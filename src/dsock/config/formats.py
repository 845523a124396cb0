"""The formats of config files: TOML, JSON and YAML."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from typing import Any

_TOML_PLACE = re.compile(r"\(at (line \d+|end of document)")


def parse(text: str, extension: str) -> dict[Any, Any]:
    """What a config file says, from its text and its extension (`toml`, `json`, ...).

    Raises `ValueError`, which names the line where it is known and never shows the text:
    that may be a secret.
    """
    name, read = PARSERS[extension]
    try:
        content = read(text)
    except (_Unfit, ImportError):
        raise
    except Exception as error:
        # A library may raise anything: PyYAML has IndexError for `!!int ""`.
        raise ValueError(f"this is not {name}{_place(error)}") from None
    if not isinstance(content, dict):
        raise _Unfit("this does not have the names of options with their values")
    return content


class _Unfit(ValueError):
    """What the format may allow and a config file does not."""


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise _Unfit(f"{name!r} is there twice")
    return dict(pairs)


def _yaml(text: str) -> Any:
    # Only who has such a file waits for the library to load.
    import yaml

    root = yaml.compose(text, yaml.SafeLoader)
    if root is None:
        return {}
    if isinstance(root, yaml.MappingNode):
        _unique([(name.value, None) for name, _ in root.value])
    return yaml.safe_load(text)


def _place(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f" (line {error.lineno})"
    if mark := getattr(error, "problem_mark", None):
        return f" (line {mark.line + 1})"
    if not isinstance(error, tomllib.TOMLDecodeError):
        return ""
    place = _TOML_PLACE.search(str(error))
    return f" ({place[1]})" if place else ""


PARSERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "toml": ("TOML", tomllib.loads),
    "json": ("JSON", _json),
    "yaml": ("YAML", _yaml),
    "yml": ("YAML", _yaml),
}
"""In the order in which they are searched for."""
