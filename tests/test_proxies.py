"""Whose request it is that a proxy has passed on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock.proxies import Proxies, unmapped

TRUSTED = ("10.0.0.0/8", "192.0.2.7", "2001:db8:1::/48")
CLIENT, PROXY, OTHER_PROXY = "203.0.113.9", "10.1.2.3", "192.0.2.7"


def client_of(peer: str, *forwarded: str) -> str:
    return Proxies(TRUSTED).client_of(peer, forwarded)


@pytest.mark.parametrize(
    ("peer", "forwarded"),
    [
        (CLIENT, []),
        (PROXY, [CLIENT]),
        (PROXY, [f"1.2.3.4, {CLIENT}"]),
        (PROXY, ["1.2.3.4", CLIENT]),
        (PROXY, [f"10.9.9.9,{CLIENT},10.4.4.4 ,{OTHER_PROXY}"]),
        (PROXY, [f"{CLIENT}:4711"]),
        (PROXY, [f"::ffff:{CLIENT}"]),
        (PROXY, [f"[::ffff:{CLIENT}]:80"]),
        ("2001:db8:1::5", [CLIENT]),
        # Nobody believes a client.
        (CLIENT, ["1.2.3.4"]),
        (CLIENT, [PROXY]),
    ],
)
def test_a_hop_is_believed_if_who_tells_of_it_is_trusted(peer: str, forwarded: list[str]) -> None:
    assert client_of(peer, *forwarded) == CLIENT


@pytest.mark.parametrize(
    ("hop", "address"),
    [
        ("2001:db8:2::1", "2001:db8:2::1"),
        ("2001:0DB8:0002::0001", "2001:db8:2::1"),
        ("[2001:db8:2::1]", "2001:db8:2::1"),
        ("[2001:db8:2::1]:443", "2001:db8:2::1"),
    ],
)
def test_an_ipv6_address_may_have_brackets_and_a_port(hop: str, address: str) -> None:
    assert client_of(PROXY, hop) == address


@pytest.mark.parametrize(
    "hop", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "[", "[]", "::1::2", "x" * 9000]
)
def test_what_is_no_address_ends_the_trail_at_who_told_it(hop: str) -> None:
    assert client_of(PROXY, hop) == PROXY
    assert client_of(PROXY, f"{CLIENT}, {hop}, {OTHER_PROXY}") == OTHER_PROXY


def test_of_proxies_alone_the_farthest_counts() -> None:
    assert client_of(PROXY, f"10.5.5.5, {OTHER_PROXY}") == "10.5.5.5"


def test_a_peer_without_an_address_is_not_trusted() -> None:
    assert client_of("", CLIENT) == ""


@given(made_up=st.text(st.characters(codec="latin-1")), hops=st.integers(0, 3))
def test_whatever_a_client_makes_up_its_own_address_is_found(made_up: str, hops: int) -> None:
    told = ", ".join([made_up, CLIENT, *hops * [OTHER_PROXY]])
    assert client_of(PROXY, told) == CLIENT


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("::ffff:1", "::ffff:1"),
        ("", ""),
    ],
)
def test_an_ipv4_address_is_written_as_one(said: str, address: str) -> None:
    assert unmapped(said) == address
