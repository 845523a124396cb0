"""Every call there is, and which errors it can answer: the one table behind the document.

`tests/api/test_codes.py` makes a running node give each of these answers, so a row that is
too long or too short fails there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsock.api.openapi import answers
from dsock.errors import (
    BadRequest,
    ClaimExpirationUnreadable,
    ClaimIdAlreadyUsed,
    DsockError,
    ErrorCheckingClaim,
    ErrorGettingChannel,
    ErrorGettingClaim,
    ErrorGettingConnection,
    ErrorGettingUser,
    ErrorMarshallingMessage,
    ErrorReadingMessage,
    ExpiredClaim,
    HeadersTooLarge,
    InvalidAuthorization,
    InvalidChannel,
    InvalidClaimId,
    InvalidConnectionId,
    InvalidDuration,
    InvalidExpiration,
    InvalidHandshake,
    InvalidJwt,
    InvalidMessageType,
    InvalidSession,
    InvalidUser,
    JwtNotEnabled,
    MessageTooLarge,
    MethodNotAllowed,
    MissingAuthentication,
    MissingClaim,
    MissingTarget,
    NegativeDuration,
    NegativeExpiration,
    NotFound,
    NotReady,
    OriginRefused,
    RepeatedCredentials,
    RequestTimeout,
    ShuttingDown,
    TooManyConnections,
    TooManyConnectionsOfUser,
    TooManyConnects,
    TooManyFailures,
    UpgradeRequired,
    UserIdRequired,
    WorkerUnanswered,
)

Kinds = tuple[type[DsockError], ...]

ANY_REQUEST: Kinds = (BadRequest, RequestTimeout, HeadersTooLarge)
"""What any request may be answered before anybody has looked at its path."""

ELSEWHERE: Kinds = (NotFound, MethodNotAllowed)
"""What is answered where there is no call."""

_TOKEN: Kinds = (InvalidAuthorization, TooManyFailures)
_TARGET: Kinds = (
    MissingTarget,
    InvalidConnectionId,
    InvalidChannel,
    InvalidUser,
    InvalidSession,
)
_TARGET_AWAY: Kinds = (ErrorGettingConnection, ErrorGettingUser, ErrorGettingChannel)
_OURS: Kinds = (DsockError,)
_TOLD: Kinds = (*_OURS, ErrorMarshallingMessage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call. `parameters` are keys of `parameters.PARAMETERS`, `security` names of
    `parameters.SECURITY`, any one of which is enough; `curl` is what follows the word curl
    in an example, with the variables DSOCK, TOKEN and CLAIM."""

    method: str
    path: str
    id: str
    tag: str
    summary: str
    text: str
    parameters: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    body: bool = False
    answers: Mapping[int, Mapping[str, Any]]
    errors: Kinds = ()
    curl: str

    @property
    def all_errors(self) -> Kinds:
        """The kinds of error that it can answer, by status."""
        return tuple(sorted((*ANY_REQUEST, *self.errors), key=lambda kind: kind.status))


_SELECTORS = ("id", "channel", "user", "session")
_API: tuple[str, ...] = ("bearer", "token")
_BEARER = '-H "Authorization: Bearer $TOKEN"'

OPERATIONS = (
    Operation(
        method="POST",
        path="/claim",
        id="createClaim",
        tag="API",
        summary="Make a claim",
        text="A claim is the single-use right to connect as a user. Hand its id to the user's "
        "page. It lives a minute if neither `duration` nor `expiration` says otherwise.",
        parameters=("claimUser", "claimSession", "channels", "duration", "expiration", "claimId"),
        security=_API,
        answers={200: answers.CLAIM_MADE},
        errors=(
            UserIdRequired,
            InvalidUser,
            InvalidSession,
            InvalidChannel,
            InvalidClaimId,
            InvalidExpiration,
            NegativeExpiration,
            InvalidDuration,
            NegativeDuration,
            ClaimIdAlreadyUsed,
            *_TOKEN,
            *_OURS,
            ErrorCheckingClaim,
        ),
        curl=f'-X POST "$DSOCK/claim?user=42&channels=news" {_BEARER}',
    ),
    Operation(
        method="POST",
        path="/send",
        id="send",
        tag="API",
        summary="Send a message to a target",
        text="The body is what arrives, as one WebSocket message. `Content-Type` is not looked "
        "at: `type` says what the message is. A target that nobody is connected to is no error; "
        "neither is a worker that did not confirm: the report counts it in `unanswered`.",
        parameters=(*_SELECTORS, "type", "report"),
        security=_API,
        body=True,
        answers={200: answers.SENT},
        errors=(
            *_TARGET,
            InvalidMessageType,
            ErrorReadingMessage,
            *_TOKEN,
            MessageTooLarge,
            *_TOLD,
            *_TARGET_AWAY,
        ),
        curl=f'-X POST "$DSOCK/send?user=42&type=text" {_BEARER} -d "Hi"',
    ),
    Operation(
        method="POST",
        path="/disconnect",
        id="disconnect",
        tag="API",
        summary="Close the connections of a target",
        text="First the target's claims are voided, so that nobody comes in with one, then its "
        "connections are closed with code 1000.",
        parameters=(*_SELECTORS, "keepClaims"),
        security=_API,
        answers={200: answers.COMMANDED},
        errors=(*_TARGET, *_TOKEN, *_TOLD, ErrorGettingClaim, *_TARGET_AWAY, WorkerUnanswered),
        curl=f'-X POST "$DSOCK/disconnect?user=42&session=a" {_BEARER}',
    ),
    Operation(
        method="POST",
        path="/channel/subscribe/{channel}",
        id="subscribe",
        tag="API",
        summary="Put a target into a channel",
        text="Connections of the target, and its claims that were not used yet, are in the "
        "channel once this has answered.",
        parameters=("channelInPath", *_SELECTORS, "ignoreClaims"),
        security=_API,
        answers={200: answers.COMMANDED},
        errors=(*_TARGET, *_TOKEN, *_TOLD, ErrorGettingClaim, *_TARGET_AWAY, WorkerUnanswered),
        curl=f'-X POST "$DSOCK/channel/subscribe/news?user=42" {_BEARER}',
    ),
    Operation(
        method="POST",
        path="/channel/unsubscribe/{channel}",
        id="unsubscribe",
        tag="API",
        summary="Take a target out of a channel",
        text="Connections of the target, and its claims that were not used yet, are no longer in "
        "the channel once this has answered.",
        parameters=("channelInPath", *_SELECTORS, "ignoreClaims"),
        security=_API,
        answers={200: answers.COMMANDED},
        errors=(*_TARGET, *_TOKEN, *_TOLD, ErrorGettingClaim, *_TARGET_AWAY, WorkerUnanswered),
        curl=f'-X POST "$DSOCK/channel/unsubscribe/news?channel=sport" {_BEARER}',
    ),
    Operation(
        method="GET",
        path="/info",
        id="info",
        tag="API",
        summary="List the connections and claims of a target",
        text="Without a match both lists are empty. Of an `id`, only the connection is shown.",
        parameters=_SELECTORS,
        security=_API,
        answers={200: answers.INFO},
        errors=(*_TARGET, *_TOKEN, *_OURS, *_TARGET_AWAY),
        curl=f'"$DSOCK/info?user=42" {_BEARER}',
    ),
    Operation(
        method="GET",
        path="/connect",
        id="connect",
        tag="Clients",
        summary="Connect with a WebSocket",
        text="The opening handshake of RFC 6455, answered by workers (`dsock serve` and "
        "`dsock worker`). A client shows one claim or one JWT: in the query, as a Bearer (a JWT "
        "only), or as a subprotocol. A claim goes before a JWT. A request that is refused for "
        "another reason does not use the claim up. JWTs are signed with `jwt_secret` (HS256, "
        "HS384 or HS512) and have `sub` (the user), `exp` or `iat` (then they live a minute), "
        "and perhaps `sid` (the session) and `channels` (a list).",
        parameters=(
            "upgrade",
            "connection",
            "webSocketKey",
            "webSocketVersion",
            "webSocketProtocol",
            "origin",
        ),
        security=("claim", "jwt", "jwtBearer", ""),
        answers={101: answers.SWITCHED},
        errors=(
            InvalidHandshake,
            RepeatedCredentials,
            MissingAuthentication,
            JwtNotEnabled,
            MissingClaim,
            ExpiredClaim,
            ClaimExpirationUnreadable,
            InvalidJwt,
            OriginRefused,
            UpgradeRequired,
            TooManyFailures,
            TooManyConnectionsOfUser,
            *_OURS,
            NotReady,
            ShuttingDown,
            TooManyConnections,
            TooManyConnects,
            ErrorGettingClaim,
            ErrorGettingConnection,
        ),
        curl='-i -N --http1.1 --max-time 5 "$DSOCK/connect?claim=$CLAIM" '
        '-H "Connection: Upgrade" -H "Upgrade: websocket" '
        '-H "Sec-WebSocket-Version: 13" -H "Sec-WebSocket-Key: MTIzNDU2Nzg5MGFiY2RlZg=="',
    ),
    Operation(
        method="GET",
        path="/ping",
        id="ping",
        tag="Health",
        summary="Say that this process answers",
        text="Every node answers this, to any method.",
        answers={200: answers.PONG},
        curl='"$DSOCK/ping"',
    ),
    Operation(
        method="GET",
        path="/ready",
        id="ready",
        tag="Health",
        summary="Say whether this node should be given traffic",
        text="For load balancers. Answers any method; only on `internal_port` if that is set.",
        answers={200: answers.READY},
        errors=(*_OURS, NotReady, ShuttingDown),
        curl='"$DSOCK/ready"',
    ),
    Operation(
        method="GET",
        path="/metrics",
        id="metrics",
        tag="Health",
        summary="Show counters for Prometheus",
        text="Answers any method; only on `internal_port` if that is set.",
        answers={200: answers.METRICS},
        errors=_OURS,
        curl='"$DSOCK/metrics"',
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        id="openapi",
        tag="Description",
        summary="Describe all calls for programs",
        text="This document, in OpenAPI 3.1. The same on every node of a version.",
        parameters=("ifNoneMatch",),
        answers={200: answers.DOCUMENT, 304: answers.UNCHANGED},
        curl='"$DSOCK/openapi.json"',
    ),
    Operation(
        method="GET",
        path="/docs",
        id="docs",
        tag="Description",
        summary="Describe all calls for people",
        text="One page without scripts, made from the document.",
        parameters=("ifNoneMatch",),
        answers={200: answers.PAGE, 304: answers.UNCHANGED},
        curl='"$DSOCK/docs"',
    ),
)
