"""What happens, told to whoever listens (metrics, logs); nothing here knows a listener."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dsock.close import Goodbye


class ConnectionOpened(NamedTuple):
    """A client has its 101."""

    id: str
    user: str


class ConnectionClosed(NamedTuple):
    """An open connection has left, for this reason."""

    id: str
    user: str
    goodbye: Goodbye


class ConnectRefused(NamedTuple):
    """A client was not let in; `code` is the error code it was answered."""

    code: str


class FailuresLimited(NamedTuple):
    """From this address came so many wrong secrets (`what`: tokens, or credentials of clients)
    that no more are looked at in this minute."""

    client: str
    what: str


class CommandApplied(NamedTuple):
    """This worker has carried out a command."""

    connections: int
    dropped: int


class CommandAnswered(NamedTuple):
    """The API has answered a command, or could not (`unanswered`)."""

    verb: str
    connections: int
    dropped: int
    unanswered: int


class MessageReceived(NamedTuple):
    """A client has sent a message of `size` bytes; it was dropped."""

    size: int


class RequestAnswered(NamedTuple):
    """An HTTP request was answered; a handshake that succeeded, with 101. `path` is without
    the query, which may hold a secret; `route` is one of few."""

    route: str
    status: int
    seconds: float
    method: str
    path: str
    client: str
    request_id: str


class RequestRefused(NamedTuple):
    """Something was refused, with this error code, before it was a whole request."""

    code: str


class PayloadDropped(NamedTuple):
    """Something arrived in a mailbox that no command can be read from."""


class LettersMissed(NamedTuple):
    """An API has published so many commands to a mailbox of this worker that did not
    arrive."""

    letters: int


class BackendReached(NamedTuple):
    """The backend is in reach again, or (`reached` false) no longer."""

    reached: bool
    why: str


class WorkerGone(NamedTuple):
    """A worker was declared gone after its lease; its records are removed."""

    worker: str


class MethodsDiffer(NamedTuple):
    """An API and a worker are set to different `messaging_method`s: `here` to this one,
    the other end to `there`. `worker` is the worker of the two."""

    here: str
    there: str
    worker: str


Event = (
    ConnectionOpened
    | ConnectionClosed
    | ConnectRefused
    | FailuresLimited
    | CommandApplied
    | CommandAnswered
    | MessageReceived
    | RequestAnswered
    | RequestRefused
    | PayloadDropped
    | LettersMissed
    | BackendReached
    | WorkerGone
    | MethodsDiffer
)
Notify = Callable[[Event], None]

Interests = Mapping[type[Event], Callable[[Any], None]]
"""What a listener does with each kind of event that it wants to hear of."""


def telling(*listeners: Interests) -> Notify:
    """A `Notify` that tells an event to those who want to hear of its kind, in this order."""
    interested: dict[type[Event], list[Callable[[Any], None]]] = {}
    for listener in listeners:
        for kind, hear in listener.items():
            interested.setdefault(kind, []).append(hear)

    def notify(event: Event) -> None:
        for hear in interested.get(type(event), ()):
            hear(event)

    return notify
