"""`dsock config`: the effective settings and where each is from, without the secrets."""

from __future__ import annotations

import json
from dataclasses import Field
from typing import Any

from dsock.config.sources import Loaded
from dsock.settings import default_text, option_fields

MASK = "***"


def table(loaded: Loaded) -> str:
    """For people: name, value in the words of a user, source."""
    rows = [
        (option.name, _words(option, getattr(loaded.settings, option.name)), source)
        for option in option_fields()
        for source in [loaded.sources[option.name]]
    ]
    names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:{names}}  {value:{values}}  {source}" for name, value, source in rows)


def as_json(loaded: Loaded) -> str:
    """For programs: values as a config file would have them, null for none."""
    entries = {}
    for option in option_fields():
        entry = {
            "value": _natural(option, getattr(loaded.settings, option.name)),
            "source": loaded.sources[option.name],
        }
        if option.metadata["secret"]:
            entry["secret"] = True
        entries[option.name] = entry
    return json.dumps(entries, indent=2)


def _words(option: Field[Any], value: Any) -> str:
    if value == option.default or value == "":
        return default_text(option) or "none"
    if option.metadata["secret"]:
        return MASK
    words: str = option.metadata["kind"].write(value)
    return words


def _natural(option: Field[Any], value: Any) -> Any:
    if value in (None, "", ()):
        return None
    if option.metadata["secret"]:
        return MASK
    if isinstance(value, tuple):
        return list(value)
    return option.metadata["kind"].write(value) if isinstance(value, float) else value
