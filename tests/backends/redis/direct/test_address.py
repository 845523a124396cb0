"""Where direct messages may go, and what a worker says where it is."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from dsock.backends.redis.direct.address import Address, is_refused, own_address, parse_address
from dsock.errors import StartError
from dsock.settings import Settings


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.7:6241", Address("10.0.0.7", 6241)),
        ("127.0.0.1:1", Address("127.0.0.1", 1)),
        ("worker-1.dsock.svc:80", Address("worker-1.dsock.svc", 80)),
        ("[fd00::1]:65535", Address("fd00::1", 65535)),
    ],
)
def test_an_address_is_host_and_port_and_reads_back(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "host", "host:", ":80", "host:0", "host:65536", "host:80x", "host:-1"),
        *("http://host:80", "host:80/path", "user@host:80", "a b:80", "host:80\r\n", "::1:80"),
        *("host:80?x", "host:80#x", "ho%73t:80", "a..b:80", ".:80", "-a:80", f"{'x' * 64}:80"),
    ],
)
def test_what_is_no_host_and_port_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="not host:port"):
        parse_address(text)


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0.0.0.0", "[::]"),
        *("224.0.0.1", "[fd00:ec2::254]", "100.100.100.200"),
        # Other spellings, which systems would understand.
        *("2852039166", "169.254.43518", "0xA9FEA9FE", "0xa9.254.169.254", "0", "127.1", "0x7f.1"),
    ],
)
def test_b73_no_worker_is_looked_for_at_a_link_local_address(host: str) -> None:
    with pytest.raises(ValueError, match="no worker can be there"):
        parse_address(f"{host}:80")


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "worker"])
def test_b73_loopback_and_private_addresses_are_allowed(host: str) -> None:
    assert not is_refused(host)


def test_a_worker_says_what_is_set() -> None:
    settings = Settings(direct_message_hostname="worker-1", direct_message_port=80)
    assert own_address(settings, 6241) == "worker-1:80"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_worker_that_listens_on_all_addresses_says_one(host: str) -> None:
    assert own_address(Settings(host=host, direct_message_hostname="w"), 80) == "w:80"
    assert not own_address(Settings(host=host), 6241).startswith(("0.", "[::]"))


def test_a_worker_that_listens_on_one_address_says_that() -> None:
    assert own_address(Settings(host="127.0.0.1"), 6241) == "127.0.0.1:6241"
    assert own_address(Settings(host="::1"), 6241) == "[::1]:6241"


def test_by_default_it_is_an_ipv4_address_of_the_machine_that_is_not_loopback() -> None:
    try:
        host = parse_address(own_address(Settings(), 6241)).host
    except StartError:
        # On a machine without a network there is none to be found.
        assert {name for _, name in socket.if_nameindex()} <= {"lo"}
        return
    assert not ipaddress.IPv4Address(host).is_loopback


@pytest.mark.parametrize("host", ["http://worker", "169.254.1.1", "a b"])
def test_a_hostname_that_no_api_would_use_is_refused_at_start(host: str) -> None:
    with pytest.raises(StartError, match=r"^direct_message_hostname: "):
        own_address(Settings(direct_message_hostname=host), 6241)
