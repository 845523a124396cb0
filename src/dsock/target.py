"""Which connections: parsing a target, and asking whether something is one of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from dsock import names
from dsock.errors import MissingTarget


class Addressed(Protocol):
    """What a target can select: anything with a user, perhaps a session, and channels."""

    @property
    def id(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def session(self) -> str | None: ...
    @property
    def channels(self) -> Collection[str]: ...


@dataclass(frozen=True, slots=True)
class ToConnection:
    """The one connection with this id."""

    id: str

    def selects(self, one: Addressed) -> bool:
        return one.id == self.id


@dataclass(frozen=True, slots=True)
class ToUser:
    """A user's connections; with `session`, only those of that session."""

    user: str
    session: str | None = None

    def selects(self, one: Addressed) -> bool:
        return one.user == self.user and (self.session is None or one.session == self.session)


@dataclass(frozen=True, slots=True)
class ToChannel:
    """All connections subscribed to a channel."""

    channel: str

    def selects(self, one: Addressed) -> bool:
        return self.channel in one.channels


Target = ToConnection | ToUser | ToChannel


def target_of(parameter: Callable[[str], str | None]) -> Target:
    """The target that a request names; `parameter` gives a parameter's value or None.

    Precedence: `id`, `channel`, `user`. `session` counts only with `user`; whatever stands
    below the one that wins is ignored whole.

    Raises `MissingTarget`, or `InvalidConnectionId`, `InvalidChannel`, `InvalidUser`,
    `InvalidSession` when the one that wins cannot be a name.
    """
    if connection := parameter("id"):
        return ToConnection(names.connection_id(connection))
    if channel := parameter("channel"):
        return ToChannel(names.channel_name(channel))
    if user := parameter("user"):
        session = parameter("session")
        return ToUser(names.user_name(user), names.session_name(session) if session else None)
    raise MissingTarget
