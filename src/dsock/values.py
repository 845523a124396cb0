"""How the values of options are written: as text, and in a config file.

A flag and a variable are text. A config file may also have a number, a switch or a list; it
is turned into that text, so that there is one reader for each kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from dsock import names
from dsock.duration import duration_text, parse_duration
from dsock.errors import DsockError

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(\*\.)?[^/*\s]+")
_ADDRESS = re.compile(r"(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<host>[^:\[\]]*)):(?P<port>[^:]+)")
AUTO = "auto"
_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True, slots=True)
class Kind:
    """`read` makes a value of text and raises `ValueError`; `write` is its opposite."""

    read: Callable[[str], Any]
    write: Callable[[Any], str] = str
    natural: type = str
    """What a config file may have in place of a string."""
    example: str = ""

    def text(self, value: object) -> str:
        """A value of a config file as text, the empty string for none.

        Raises `ValueError`, which does not show the value.
        """
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        # isinstance() would take true for a number.
        if type(value) is not self.natural:
            such_as = f" such as {self.example!r}" if self.example else ""
            raise ValueError(f"must be {_WORDS[self.natural]}{such_as}")
        if isinstance(value, list):
            return _joined(value)
        return str(value).lower()


_WORDS = {
    str: "a string",
    bool: "true or false",
    int: "a whole number, or a string",
    list: "a list of strings, or a string with commas",
}


def _joined(items: list[Any]) -> str:
    if not all(isinstance(item, str) for item in items):
        raise ValueError(f"must be {_WORDS[list]}")
    if any("," in item for item in items):
        raise ValueError("an item of a list has no comma")
    return ",".join(items)


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError(f"not true or false: {text!r}") from None


def _whole(text: str) -> int:
    # int() would also take "1_000" and the digits of other scripts.
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"not a whole number: {text!r}")
    return int(text)


def _processes(text: str) -> int | str:
    if text == AUTO:
        return text
    if not text.isdigit() or (number := _whole(text)) < 1:
        raise ValueError(f"must be at least 1, or {AUTO}: {text!r}")
    return number


def _port(text: str) -> int:
    port = _whole(text)
    if port > 65535:
        raise ValueError(f"not a port: {text!r}")
    return port


def _address(text: str) -> str:
    host_and_port(text)
    return text


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of `:6241`, `host:6241` or `[::1]:6241`; no host is the empty string.

    Raises `ValueError`.
    """
    parts = _ADDRESS.fullmatch(address)
    if not parts:
        raise ValueError(f"not an address such as :6241 or [::1]:6241: {address!r}")
    return parts["bracketed"] or parts["host"] or "", _port(parts["port"])


def _size(text: str) -> int:
    number, factor = text.strip(), 1
    for unit, bytes_ in _UNITS.items():
        if number.lower().endswith(unit.lower()):
            number, factor = number[: -len(unit)].strip(), bytes_
    size = _whole(number) * factor
    if size < 1:
        raise ValueError(f"must be at least 1: {text!r}")
    return size


def _size_text(size: int) -> str:
    for unit, bytes_ in reversed(_UNITS.items()):
        if size % bytes_ == 0:
            return f"{size // bytes_}{unit}"
    return str(size)


def _period(text: str) -> float:
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError(f"must be longer than 0: {text!r}")
    return seconds


def _wait(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < 0:
        raise ValueError(f"must not be negative: {text!r}")
    return seconds


def _ttl(text: str) -> float:
    seconds = _period(text)
    if seconds < 1:
        raise ValueError(f"must be at least 1s: {text!r}")
    return seconds


def _lease(text: str) -> float:
    seconds = _period(text)
    if seconds < 2:
        raise ValueError(f"must be at least 2s, twice what a beat takes: {text!r}")
    return seconds


def _channels(text: str) -> tuple[str, ...]:
    try:
        return names.channel_list(",".join(name.strip() for name in text.split(",")))
    except DsockError as error:
        raise ValueError(error.message) from None


def _list(text: str) -> tuple[str, ...]:
    items = tuple(item.strip() for item in text.split(",") if item.strip())
    if not items:
        raise ValueError("nothing but commas")
    return items


def _tokens(text: str) -> tuple[str, ...]:
    tokens = _list(text)
    # What a header and a query can carry as it is.
    if not all(token.isascii() and token.isprintable() and " " not in token for token in tokens):
        raise ValueError("only visible ASCII characters")
    return tokens


def _origins(text: str) -> tuple[str, ...]:
    origins = _list(text)
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"not an origin such as https://example.com: {origin!r}")
    return origins


def _networks(text: str) -> tuple[str, ...]:
    networks = _list(text)
    for network in networks:
        try:
            ip_network(network)
        except ValueError:
            raise ValueError(f"not an address or network such as 10.0.0.0/8: {network!r}") from None
    return networks


TEXT = Kind(str)
SWITCH = Kind(_boolean, lambda value: str(value).lower(), bool)
WHOLE = Kind(_whole, natural=int)
PROCESSES = Kind(_processes, natural=int)
PORT = Kind(_port, natural=int)
ADDRESS = Kind(_address)
SIZE = Kind(_size, _size_text, int)
PERIOD = Kind(_period, duration_text, example="60s")
WAIT = Kind(_wait, duration_text, example="60s")
TTL = Kind(_ttl, duration_text, example="60s")
LEASE = Kind(_lease, duration_text, example="10s")
LIST = Kind(_list, ",".join, list)
TOKENS = Kind(_tokens, ",".join, list)
CHANNELS = Kind(_channels, ",".join, list)
NETWORKS = Kind(_networks, ",".join, list)
ORIGINS = Kind(_origins, ",".join, list)


def choice(*choices: str) -> Kind:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}: {text!r}")
        return text

    return Kind(read)
