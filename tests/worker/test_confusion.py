"""JWTs that talk their reader into another key, another algorithm or another payload."""

from __future__ import annotations

import json
import socket
import zlib
from typing import Any

import pytest

from dsock.errors import InvalidJwt
from dsock.worker.signature import Signatures
from tests.worker.test_signature import NOW, OTHER, SECRET, base64, payload, refused, signed, token

PUBLIC_KEY = """\
-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALFO/5h85/adiq7SgQ0wU9sU9926zrJi
/H4a7wXXA5Bf2gEw9avHRimx7HzTbXDDKSXcgsNJHhPuCAvafqMrw3MCAwEAAQ==
-----END PUBLIC KEY-----
"""

ELSEWHERE = "http://127.0.0.1:1/key"

OCTETS = {"kty": "oct", "k": base64(OTHER.encode()), "alg": "HS256"}

HEADERS: list[dict[str, Any]] = [
    {"kid": "../../../../dev/null"},
    {"kid": "/proc/self/environ"},
    {"kid": "x' UNION SELECT 'key'; --"},
    {"kid": "| sleep 10"},
    {"kid": ELSEWHERE},
    {"jku": ELSEWHERE},
    {"x5u": ELSEWHERE},
    {"jwk": OCTETS},
    {"jwk": {"keys": [OCTETS]}, "kid": "0"},
    {"x5c": [base64(OTHER.encode())]},
    {"key": OTHER},
    {"typ": "JWE", "enc": "A128GCM"},
    {"cty": "JWT"},
    {"zip": "DEF"},
]
"""What a header may say beside its algorithm, and nobody must listen to."""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever fetches a key from somewhere fails."""

    def connect(*_: object) -> None:
        raise AssertionError("a key was fetched")

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_a_jwt_does_not_choose_its_key(header: dict[str, Any]) -> None:
    for secret in (OTHER, "", "\x00", "key", "null"):
        assert refused(token(payload(), secret=secret, **header))


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_a_header_changes_nothing_of_a_jwt_that_is_good(header: dict[str, Any]) -> None:
    assert Signatures((SECRET,)).claim_of(token(payload(), **header), NOW).user == "u"


def test_a_public_key_is_no_secret() -> None:
    # Everybody has it: what is signed with it as if it were a secret is signed by anybody.
    assert refused(token(payload(), secret=PUBLIC_KEY), PUBLIC_KEY)
    assert refused(token(payload(), secret=PUBLIC_KEY), PUBLIC_KEY, SECRET)
    assert refused(token(payload(), alg="RS256", secret=PUBLIC_KEY), SECRET)


@pytest.mark.parametrize(
    "header",
    [
        '{"alg": "none", "alg": "HS256"}',
        '{"alg": "HS256", "alg": "none"}',
        '{"Alg": "HS256"}',
        '{"alg": "HS256 "}',
        '{"alg": "HS\\u00002\\u0000"}',
        '{"alg": ["HS256", "none"]}',
        '{"alg": {"HS256": "none"}}',
        "[]",
        "null",
        '"HS256"',
        "",
        "[" * 100_000,
        '{"a":' * 50_000,
    ],
    ids=lambda text: text[:30],
)
def test_a_header_that_says_it_twice_or_in_another_way_is_no_way_around(header: str) -> None:
    assert refused(signed(header, payload(), secret=OTHER))
    assert refused(signed(header, payload(), secret=""))
    unsigned, _, _ = signed(header, payload()).rpartition(".")
    assert refused(f"{unsigned}.")


@pytest.mark.parametrize(
    "text",
    [
        f'{{"sub": "u", "sub": "", "exp": {NOW + 60}}}',
        f'{{"sub": "u", "exp": {NOW + 60}, "exp": 1}}',
        f'{{"sub": "u", "exp": {NOW + 60}, "sid": "s", "sid": 7}}',
        f'{{"Sub": "u", "exp": {NOW + 60}}}',
        f'{{"sub": "u", "exp": {NOW + 60}}} ' + "x",
        json.dumps(token(payload())),
        token(payload()),
    ],
    ids=["user", "date", "session", "case", "more", "a JWT in quotes", "a JWT"],
)
def test_a_payload_that_says_it_twice_or_holds_another_is_refused(text: str) -> None:
    assert refused(token(text))
    assert refused(token(text, cty="JWT"))


def test_a_payload_is_not_inflated() -> None:
    deflated = zlib.compress(payload().encode() + b" " * 2**20)
    assert refused(signed('{"alg": "HS256", "zip": "DEF"}', deflated))


@pytest.mark.parametrize("size", [2**13, 2**16, 2**20])
def test_a_huge_jwt_is_one_that_nobody_signed(size: int) -> None:
    for jwt in ("a." * size, "." * size, "a" * size, token(" " * size, secret=OTHER)):
        assert refused(jwt)


@pytest.mark.parametrize("claims", [{"exp": NOW - 3600}, {"nbf": NOW + 3600}, {"iat": NOW + 3600}])
def test_a_clock_that_is_an_hour_off_lets_nobody_in(claims: dict[str, int]) -> None:
    with pytest.raises(InvalidJwt):
        Signatures((SECRET,)).claim_of(token(payload(**claims)), NOW)
