"""Credentials: where a client may show one, and what it is answered."""

from __future__ import annotations

import pytest

from dsock.errors import InvalidHandshake, MissingAuthentication, RepeatedCredentials
from dsock.worker.credentials import Credential, find_credential, select_protocol

Query = list[tuple[str, str]]


@pytest.mark.parametrize(
    ("query", "authorization", "protocols", "credential"),
    [
        ([("claim", "C")], [], [], Credential("C", None)),
        ([("jwt", "J")], [], [], Credential(None, "J")),
        ([], ["Bearer J"], [], Credential(None, "J")),
        ([], ["bearer J"], [], Credential(None, "J")),
        ([], ["BEARER   J "], [], Credential(None, "J")),
        ([], [], ["dsock.claim.C", "dsock"], Credential("C", None)),
        ([], [], ["chat", "dsock.jwt.a.b.c"], Credential(None, "a.b.c")),
        ([("claim", "C"), ("jwt", "J")], [], [], Credential("C", "J")),
        ([("claim", "C")], ["Bearer J"], ["dsock"], Credential("C", "J")),
        (
            [("claim", "C"), ("other", "x"), ("other", "y")],
            ["Basic eA=="],
            [],
            Credential("C", None),
        ),
    ],
)
def test_a_credential_is_found_wherever_it_may_be_shown(
    query: Query, authorization: list[str], protocols: list[str], credential: Credential
) -> None:
    assert find_credential(query, authorization, protocols) == credential


@pytest.mark.parametrize(
    ("query", "authorization", "protocols"),
    [
        ([], [], []),
        ([("claim", ""), ("jwt", "")], ["Bearer "], ["dsock"]),
        ([], ["Bearer"], []),
        ([], ["Basic dXNlcg=="], []),
        ([], ["BearerJ"], []),
        ([], ["J"], []),
        ([("Claim", "C"), ("token", "T")], [], []),
        ([], [], ["dsock.claims.C", "claim.C", "Dsock.Claim.C"]),
    ],
)
def test_a_client_that_shows_nothing_is_refused(
    query: Query, authorization: list[str], protocols: list[str]
) -> None:
    with pytest.raises(MissingAuthentication):
        find_credential(query, authorization, protocols)


@pytest.mark.parametrize("protocol", ["dsock.claim.", "dsock.jwt."])
def test_an_empty_subprotocol_credential_is_none(protocol: str) -> None:
    with pytest.raises(MissingAuthentication):
        find_credential([], [], [protocol, "dsock"])


@pytest.mark.parametrize(
    ("query", "authorization", "protocols"),
    [
        ([("claim", "C"), ("claim", "D")], [], []),
        ([("claim", "C"), ("claim", "C")], [], []),
        ([("jwt", "J"), ("jwt", "K")], [], []),
        ([("claim", "C")], [], ["dsock.claim.D", "dsock"]),
        ([("jwt", "J")], ["Bearer K"], []),
        ([], ["Bearer J", "Bearer K"], []),
        ([], ["Bearer J"], ["dsock.jwt.K"]),
        ([], [], ["dsock.claim.C", "dsock.claim.D"]),
        ([("claim", "C"), ("jwt", "J")], ["Bearer K"], []),
    ],
)
def test_a_client_that_shows_one_kind_twice_is_refused(
    query: Query, authorization: list[str], protocols: list[str]
) -> None:
    with pytest.raises(RepeatedCredentials):
        find_credential(query, authorization, protocols)


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        ([], None),
        (["dsock"], "dsock"),
        (["chat", "dsock"], "chat"),
        (["dsock.claim.C", "dsock"], "dsock"),
        (["dsock.jwt.J", "chat", "dsock"], "chat"),
        (["dsock", "dsock.claim.C"], "dsock"),
        (["dsock.v2"], "dsock.v2"),
    ],
)
def test_the_first_protocol_that_is_no_credential_is_selected(
    offered: list[str], selected: str | None
) -> None:
    assert select_protocol(offered) == selected


@pytest.mark.parametrize(
    "offered", [["dsock.claim.C"], ["dsock.jwt.J"], ["dsock.claim.C", "dsock.jwt.J"]]
)
def test_a_credential_is_never_echoed_as_the_protocol(offered: list[str]) -> None:
    with pytest.raises(InvalidHandshake):
        select_protocol(offered)
