"""Targets: which parameters make one, and whom it selects."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock.errors import (
    DsockError,
    InvalidChannel,
    InvalidConnectionId,
    InvalidSession,
    InvalidUser,
    MissingTarget,
)
from dsock.target import Target, ToChannel, ToConnection, ToUser, target_of


@dataclass(frozen=True)
class One:
    id: str = "id"
    user: str = "user"
    session: str | None = None
    channels: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("parameters", "target"),
    [
        ({"id": "i"}, ToConnection("i")),
        ({"id": "not-a-uuid"}, ToConnection("not-a-uuid")),
        ({"channel": "c"}, ToChannel("c")),
        ({"user": "u"}, ToUser("u")),
        ({"user": "u", "session": "s"}, ToUser("u", "s")),
        ({"user": "u", "session": ""}, ToUser("u")),
        ({"id": "", "channel": "", "user": "u"}, ToUser("u")),
        ({"id": "i", "channel": "c", "user": "u", "session": "s"}, ToConnection("i")),
        ({"channel": "c", "user": "u", "session": "s"}, ToChannel("c")),
        ({"channel": "c", "session": "s"}, ToChannel("c")),
        ({"id": "i", "user": "u"}, ToConnection("i")),
    ],
)
def test_b60_the_precedence_is_id_channel_user(parameters: dict[str, str], target: Target) -> None:
    assert target_of(parameters.get) == target


@pytest.mark.parametrize(
    "parameters", [{}, {"session": "s"}, {"user": ""}, {"user": "", "session": "s"}, {"ID": "i"}]
)
def test_b60_a_session_alone_is_no_target(parameters: dict[str, str]) -> None:
    with pytest.raises(MissingTarget):
        target_of(parameters.get)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"id": "\n", "user": "u"}, InvalidConnectionId),
        ({"channel": "a,b", "user": "u"}, InvalidChannel),
        ({"user": "x" * 256}, InvalidUser),
        ({"user": "u", "session": "\x00"}, InvalidSession),
    ],
)
def test_a_winning_selector_that_is_no_name_is_refused(
    parameters: dict[str, str], error: type[DsockError]
) -> None:
    with pytest.raises(error):
        target_of(parameters.get)


@pytest.mark.parametrize("loser", ["channel", "user", "session"])
def test_a_selector_below_the_winner_may_be_anything(loser: str) -> None:
    assert target_of({"id": "i", loser: "\x00,"}.get) == ToConnection("i")


@pytest.mark.parametrize(
    ("target", "one", "selected"),
    [
        (ToConnection("id"), One(), True),
        (ToConnection("user"), One(), False),
        (ToUser("user"), One(session="s"), True),
        (ToUser("user", "s"), One(session="s"), True),
        (ToUser("user", "s"), One(session="t"), False),
        (ToUser("user", "s"), One(session=None), False),
        (ToUser("id"), One(), False),
        (ToChannel("c"), One(channels=("b", "c")), True),
        (ToChannel("c"), One(channels=("cc",)), False),
    ],
)
def test_a_target_selects_whom_it_names(target: Target, one: One, selected: bool) -> None:
    assert target.selects(one) is selected


def test_b39_a_session_is_scoped_to_its_user() -> None:
    assert not ToUser("a", "s").selects(One(user="b", session="s"))


awkward = st.text("ab1:-*,", min_size=1, max_size=4)


@given(awkward, awkward, awkward, awkward)
def test_b59_no_two_users_with_sessions_are_confused(u: str, s: str, v: str, t: str) -> None:
    selected = ToUser(u, s).selects(One(user=v, session=t))
    assert selected == ((u, s) == (v, t))
