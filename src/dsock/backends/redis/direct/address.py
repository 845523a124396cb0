"""Where a worker takes direct messages, and where an API may bring them."""

from __future__ import annotations

import fcntl
import re
import socket
import struct
from ipaddress import ip_address
from typing import NamedTuple

from dsock.errors import StartError
from dsock.settings import Settings

_SIOCGIFADDR = 0x8915
"""Asks Linux for the IPv4 address of an interface (netdevice(7))."""

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_ADDRESS = re.compile(rf"(\[[0-9A-Fa-f:.]+\]|{_LABEL}(?:\.{_LABEL})*):([0-9]{{1,5}})")

# Systems take these for IPv4 addresses too: 2130706433, 0x7f.1.
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)")

_METADATA = {ip_address("fd00:ec2::254"), ip_address("100.100.100.200")}
"""Where some clouds keep the secrets of a machine, beside the link-local address."""


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`host:port` as a worker has written it. Raises `ValueError`: whoever can write to
    Redis must not be able to make an API call anything else than a worker."""
    found = _ADDRESS.fullmatch(text)
    if not found or not 0 < int(found[2]) < 65536:
        raise ValueError("it is not host:port")
    address = Address(found[1].strip("[]"), int(found[2]))
    if is_refused(address.host):
        raise ValueError("no worker can be there")
    return address


def is_refused(host: str) -> bool:
    """Whether this is an address at which no API looks for a worker: link-local ones, and
    those of metadata services; those that are nobody's; and other spellings of any."""
    try:
        ip = ip_address(host)
    except ValueError:
        return bool(_NUMERIC.fullmatch(host))
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip in _METADATA or ip.is_link_local or ip.is_multicast or ip.is_unspecified


def own_address(settings: Settings, port: int) -> str:
    """What a worker that listens on `port` tells the APIs. Raises `StartError` when it has
    no address to tell."""
    host = settings.direct_message_hostname or _one_address(settings.host) or _first_ipv4()
    address = str(Address(host, settings.direct_message_port or port))
    try:
        parse_address(address)
    except ValueError as error:
        raise StartError(f"direct_message_hostname: {address}: {error}") from None
    return address


def _one_address(host: str) -> str:
    """The host that is listened on, unless that is all of them: `0.0.0.0`, `::`."""
    try:
        return "" if ip_address(host).is_unspecified else host
    except ValueError:
        return host


def _first_ipv4() -> str:
    """The first local IPv4 address that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue  # It has none.
            ip = ip_address(answer[20:24])
            if not ip.is_loopback and not ip.is_link_local:
                return str(ip)
    raise StartError("no address for direct messages: set direct_message_hostname")
