"""Where a request has come from, when proxies have passed it on: `X-Forwarded-For`, as far as
it can be believed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network


class Proxies:
    """Those that are believed: addresses and networks, such as 10.0.0.0/8."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = [ip_network(one) for one in trusted]
        self._trusts = lru_cache(1024)(self._is_trusted)

    def client_of(self, peer: str, forwarded: Iterable[str]) -> str:
        """The address of a client whose request came from `peer`; `forwarded` are the values of
        all `X-Forwarded-For`, in order.

        Each proxy adds at the end from where it has got a request. So from the end on hops are
        believed as long as who tells of them is trusted: what stands before the first that is
        not, a client may have made up.
        """
        address = peer
        if not self._trusts(address):
            return address
        for hop in reversed(",".join(forwarded).split(",")):
            told = _address_in(hop)
            if not told:
                break
            address = told
            if not self._trusts(address):
                break
        return address

    def _is_trusted(self, address: str) -> bool:
        try:
            read = ip_address(address)
        except ValueError:
            return False
        return any(read in network for network in self._networks)


def unmapped(address: str) -> str:
    """An IPv4 address as it is usually written, also if a socket for both kinds says it in the
    way of IPv6 (RFC 4291, section 2.5.5.2)."""
    return address.removeprefix("::ffff:") if "." in address else address


def _address_in(hop: str) -> str:
    """The address in a member of `X-Forwarded-For`, without a port; nothing if it is none."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        read = ip_address(text)
    except ValueError:
        return ""
    mapped = read.ipv4_mapped if isinstance(read, IPv6Address) else None
    return str(mapped or read)
