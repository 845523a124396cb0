"""Everything that can be refused or go wrong, as one small tree.

The docstring of an error is the sentence a caller reads, its name in capitals is the
`errorCode` (`UserIdRequired` is `USER_ID_REQUIRED`), and `status` is the HTTP status.
An edge translates an error once (`dsock.http.answers`); nothing below an edge formats one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from dsock.report import Report


class DsockError(Exception):
    """Something went wrong inside dSock."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_ERROR"
    headers: ClassVar[Mapping[str, str]] = {}
    report: Report | None = None

    def __init_subclass__(cls) -> None:
        if "code" not in cls.__dict__:
            cls.code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).upper()

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    @property
    def message(self) -> str:
        """The sentence for the caller; never holds a secret."""
        sentence = " ".join((self.__doc__ or self.code).split())
        return f"{sentence} {self.detail}".strip()

    def __str__(self) -> str:
        return self.message


# --- 400: the request itself is wrong ------------------------------------------------


class BadRequest(DsockError):
    """The request is not valid HTTP."""

    status = 400
    code = "INVALID_REQUEST"


class UserIdRequired(BadRequest):
    """The query parameter `user` is required."""


class MissingTarget(BadRequest):
    """Say which connections: one of the query parameters `id`, `channel` and
    `user` is required."""


class InvalidUser(BadRequest):
    """`user` must be 1 to 255 bytes of UTF-8 without control characters."""


class InvalidSession(BadRequest):
    """`session` must be 1 to 255 bytes of UTF-8 without control characters."""


class InvalidChannel(BadRequest):
    """A channel must be 1 to 255 bytes of UTF-8 without control characters or commas."""


class InvalidConnectionId(BadRequest):
    """`id` must be 1 to 255 bytes of UTF-8 without control characters."""


class InvalidClaimId(BadRequest):
    """A claim id must be 8 to 128 of the characters A-Z, a-z, 0-9, `-`, `.`, `_` and `~`."""


class InvalidExpiration(BadRequest):
    """`expiration` must be a whole number of seconds from epoch, in the future and before
    the year 10000."""


class NegativeExpiration(BadRequest):
    """`expiration` must be above 0."""


class InvalidDuration(BadRequest):
    """`duration` must be a whole number of seconds that ends before the year 10000."""


class NegativeDuration(BadRequest):
    """`duration` must be above 0."""


class ClaimIdAlreadyUsed(BadRequest):
    """A claim with this id exists already."""


class InvalidMessageType(BadRequest):
    """`type` must be `text` (with a body that is UTF-8) or `binary`."""


class ErrorReadingMessage(BadRequest):
    """The body ended before all of it had arrived."""


class InvalidHandshake(BadRequest):
    """This is not a WebSocket handshake by RFC 6455, version 13."""

    headers: ClassVar[Mapping[str, str]] = {"Sec-WebSocket-Version": "13"}


class RepeatedCredentials(BadRequest):
    """Connect with one claim or one JWT, not with several."""


# --- 401: who are you? ---------------------------------------------------------------


class Unauthorized(DsockError):
    """Not authorized."""

    status = 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class InvalidAuthorization(Unauthorized):
    """The token is missing or wrong."""


class MissingAuthentication(Unauthorized):
    """Connect with a claim or a JWT."""


class JwtNotEnabled(MissingAuthentication):
    """No JWT is accepted here: `jwt_secret` is not set. Connect with a claim."""

    code = "MISSING_AUTHENTICATION"


class MissingClaim(Unauthorized):
    """No such claim: it was used, it has expired, or it never was."""


class ExpiredClaim(Unauthorized):
    """The claim has expired."""


class ClaimExpirationUnreadable(Unauthorized):
    """The stored claim has an expiration that cannot be read."""

    code = "INVALID_EXPIRATION"


class InvalidJwt(Unauthorized):
    """The JWT is malformed, expired, incomplete, or signed with another key."""


# --- other 4xx -----------------------------------------------------------------------


class OriginRefused(DsockError):
    """Pages of this origin may not connect."""

    status = 403


class NotFound(DsockError):
    """There is nothing at this path."""

    status = 404


class MethodNotAllowed(DsockError):
    """This path does not answer this method."""

    status = 405


class RequestTimeout(DsockError):
    """The request took too long to arrive."""

    status = 408


class MessageTooLarge(DsockError):
    """The body is larger than `max_message_size`."""

    status = 413


class UpgradeRequired(DsockError):
    """Connect here with a WebSocket."""

    status = 426
    headers: ClassVar[Mapping[str, str]] = {"Upgrade": "websocket", "Connection": "Upgrade"}


class TooManyFailures(DsockError):
    """Too many wrong credentials have come from this address."""

    status = 429
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "60"}


class TooManyConnectionsOfUser(DsockError):
    """The user has as many connections here as `max_connections_per_user` allows."""

    status = 429


class HeadersTooLarge(DsockError):
    """The request line and headers are too long or too many."""

    status = 431


# --- 5xx: we cannot ------------------------------------------------------------------


class ErrorMarshallingMessage(DsockError):
    """The command could not be encoded for the workers."""

    status = 500


class Unavailable(DsockError):
    """The backend is out of reach."""

    status = 503


class NotReady(Unavailable):
    """This node is not ready."""


class ShuttingDown(Unavailable):
    """This node is shutting down."""


class TooManyConnections(DsockError):
    """This node has as many connections as `max_connections` allows."""

    status = 503


class TooManyConnects(DsockError):
    """More clients connect to this node at once than `max_connects_per_second` allows."""

    status = 503
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class ErrorCheckingClaim(Unavailable):
    """Could not check or store the claim."""


class ErrorGettingClaim(Unavailable):
    """Could not read or change the claim(s)."""


class ErrorGettingConnection(Unavailable):
    """Could not reach the connection(s)."""


class ErrorGettingUser(Unavailable):
    """Could not reach the user's connections."""


class ErrorGettingChannel(Unavailable):
    """Could not reach the channel's connections."""


class WorkerUnanswered(DsockError):
    """At least one worker did not confirm in time; the call may be repeated."""

    status = 504

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


# --- start-up ------------------------------------------------------------------------


class StartError(Exception):
    """The node cannot start; the argument says why in one line."""
