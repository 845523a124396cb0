"""What a client shows to be let in, and where it may show it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from dsock.errors import InvalidHandshake, MissingAuthentication, RepeatedCredentials

CLAIM_PROTOCOL = "dsock.claim."
JWT_PROTOCOL = "dsock.jwt."


# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class Credential(NamedTuple):
    """A claim id, or else a JWT."""

    claim: str | None
    jwt: str | None


def find_credential(
    query: Sequence[tuple[str, str]], authorization: Sequence[str], protocols: Sequence[str]
) -> Credential:
    """The credential in a request's query, `Authorization` headers and subprotocols.

    A claim goes before a JWT. Raises `MissingAuthentication`, or `RepeatedCredentials` when
    one kind is given more than once.
    """
    claims = _given("claim", CLAIM_PROTOCOL, query, protocols)
    jwts = _given("jwt", JWT_PROTOCOL, query, protocols)
    for header in authorization:
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "bearer" and value.strip():
            jwts.append(value.strip())
    if len(claims) > 1 or len(jwts) > 1:
        raise RepeatedCredentials
    if not claims and not jwts:
        raise MissingAuthentication
    return Credential(claims[0] if claims else None, jwts[0] if jwts else None)


def _given(
    parameter: str, prefix: str, query: Sequence[tuple[str, str]], protocols: Sequence[str]
) -> list[str]:
    """What is given as a parameter or in a subprotocol; an empty one counts as absent."""
    given = [value for name, value in query if name == parameter]
    given += [one.removeprefix(prefix) for one in protocols if one.startswith(prefix)]
    return [value for value in given if value]


def select_protocol(protocols: Sequence[str]) -> str | None:
    """The subprotocol to answer with (RFC 6455, section 4.2.2): the first offered that is
    no credential.

    Raises `InvalidHandshake` when only credentials are offered: a browser insists on an
    answer, and a credential must not be echoed.
    """
    if not all(map(_TOKEN.fullmatch, protocols)):
        raise InvalidHandshake
    for protocol in protocols:
        if not protocol.startswith((CLAIM_PROTOCOL, JWT_PROTOCOL)):
            return protocol
    if protocols:
        raise InvalidHandshake("Offer one more subprotocol, which is no credential.")
    return None
