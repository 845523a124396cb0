"""The address, which is deprecated: port and host in one."""

from __future__ import annotations

import pytest

from dsock.config import sources


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [(":7000", "", 7000), ("127.0.0.1:7000", "127.0.0.1", 7000), ("[::1]:7000", "::1", 7000)],
)
def test_an_address_is_where_a_node_listens(address: str, host: str, port: int) -> None:
    loaded = sources.load({"DSOCK_ADDRESS": address}, {})
    assert (loaded.settings.host, loaded.settings.port) == (host, port)
    assert loaded.sources["port"] == loaded.sources["host"] == "DSOCK_ADDRESS"


def test_without_an_address_the_port_counts() -> None:
    loaded = sources.load({"DSOCK_ADDRESS": "", "PORT": "7000"}, {})
    assert (loaded.settings.port, loaded.warnings) == (7000, ())


def test_an_address_is_warned_of() -> None:
    (warning,) = sources.load({}, {"address": ":6241"}).warnings
    assert "--address" in warning
    assert "deprecated" in warning
    assert "went before" not in warning


def test_an_address_goes_before_port_and_host_and_says_so() -> None:
    loaded = sources.load({"DSOCK_ADDRESS": ":7000", "PORT": "1"}, {"host": "::1"})
    assert (loaded.settings.host, loaded.settings.port) == ("", 7000)
    (warning,) = loaded.warnings
    assert "went before port (PORT)" in warning
    assert "went before host (--host)" in warning


def test_an_address_that_says_the_same_as_port_and_host_is_not_in_their_way() -> None:
    (warning,) = sources.load({"DSOCK_ADDRESS": "[::1]:1", "PORT": "1"}, {"host": "::1"}).warnings
    assert "went before" not in warning
