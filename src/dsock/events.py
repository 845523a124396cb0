"""What happens, told to whoever listens (metrics, logs); nothing here knows a listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsock.close import Goodbye


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A client has its 101."""

    id: str
    user: str


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """An open connection has left, for this reason."""

    id: str
    user: str
    goodbye: Goodbye


@dataclass(frozen=True, slots=True)
class ConnectRefused:
    """A client was not let in; `code` is the error code it was answered."""

    code: str


@dataclass(frozen=True, slots=True)
class CommandApplied:
    """This worker has carried out a command."""

    connections: int
    dropped: int


@dataclass(frozen=True, slots=True)
class CommandAnswered:
    """The API has answered a command, or could not (`unanswered`)."""

    verb: str
    connections: int
    dropped: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A client has sent a message of `size` bytes; it was dropped."""

    size: int


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """An HTTP request was answered; a handshake that succeeded, with 101. `path` is without
    the query, which may hold a secret; `route` is one of few."""

    route: str
    status: int
    seconds: float
    method: str
    path: str
    client: str
    request_id: str


@dataclass(frozen=True, slots=True)
class PayloadDropped:
    """Something arrived in a mailbox that no command can be read from."""


@dataclass(frozen=True, slots=True)
class BackendReached:
    """The backend is in reach again, or (`reached` false) no longer."""

    reached: bool
    why: str


@dataclass(frozen=True, slots=True)
class WorkerGone:
    """A worker was declared gone after its lease; its records are removed."""

    worker: str


@dataclass(frozen=True, slots=True)
class MethodsDiffer:
    """An API and a worker are set to different `messaging_method`s: `here` to this one,
    the other end to `there`. `worker` is the worker of the two."""

    here: str
    there: str
    worker: str


Event = (
    ConnectionOpened
    | ConnectionClosed
    | ConnectRefused
    | CommandApplied
    | CommandAnswered
    | MessageReceived
    | RequestAnswered
    | PayloadDropped
    | BackendReached
    | WorkerGone
    | MethodsDiffer
)
Notify = Callable[[Event], None]
