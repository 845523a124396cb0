"""Values of options: their notation as text and in a config file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock import values
from dsock.settings import option_fields
from dsock.values import Kind, host_and_port

CANARY = "canary-77d0"


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        (":6241", ("", 6241)),
        ("localhost:80", ("localhost", 80)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:6241", ("::1", 6241)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    assert host_and_port(address) == parts


@pytest.mark.parametrize(
    "address", ["", "6241", "localhost", "localhost:", "::1:6241", "[]:1", "[::1]", ":65536", ":x"]
)
def test_what_is_not_quite_an_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        host_and_port(address)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (values.PORT, 6241, "6241"),
        (values.WHOLE, 0, "0"),
        (values.PROCESSES, 4, "4"),
        (values.PROCESSES, "auto", "auto"),
        (values.SIZE, 65536, "65536"),
        (values.SWITCH, True, "true"),
        (values.SWITCH, False, "false"),
        (values.LIST, ["a", "b"], "a,b"),
        (values.CHANNELS, [], ""),
        (values.TEXT, "x", "x"),
        (values.PORT, "6241", "6241"),
        (values.LIST, "a,b", "a,b"),
        (values.PORT, None, ""),
    ],
)
def test_a_value_of_a_file_is_a_string_or_what_is_natural(
    kind: Kind, value: object, text: str
) -> None:
    assert kind.text(value) == text


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (values.PORT, True, "a whole number"),
        (values.PORT, 6241.0, "a whole number"),
        (values.PORT, [6241], "a whole number"),
        (values.SWITCH, 1, "true or false"),
        (values.SWITCH, 0, "true or false"),
        (values.TEXT, 1234, "a string"),
        (values.TEXT, False, "a string"),
        (values.TEXT, {"a": CANARY}, "a string"),
        (values.PERIOD, 60, "a string"),
        (values.LIST, [1, 2], "a list of strings"),
        (values.LIST, [CANARY, None], "a list of strings"),
        (values.LIST, {CANARY: CANARY}, "a list of strings"),
        (values.LIST, [f"{CANARY},b"], "no comma"),
    ],
)
def test_another_type_is_refused_and_not_shown(kind: Kind, value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        kind.text(value)
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    ("bytes_", "words"),
    [
        (1, "1"),
        (1000, "1000"),
        (1024, "1KiB"),
        (1536, "1536"),
        (65536, "64KiB"),
        (2**20, "1MiB"),
        (3 * 2**30, "3GiB"),
    ],
)
def test_a_size_is_written_in_the_largest_unit_that_fits(bytes_: int, words: str) -> None:
    assert values.SIZE.write(bytes_) == words


@given(st.integers(1, 2**40))
def test_a_size_that_was_written_reads_the_same(size: int) -> None:
    assert values.SIZE.read(values.SIZE.write(size)) == size


@pytest.mark.parametrize(
    "option",
    [option for option in option_fields() if option.default not in (None, "", ())],
    ids=lambda option: option.name,
)
def test_what_a_kind_writes_it_can_read(option: Any) -> None:
    kind: Kind = option.metadata["kind"]
    assert kind.read(kind.write(option.default)) == option.default
