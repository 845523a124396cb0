"""What a request may carry: parameters with their rules, credentials, the body."""

from __future__ import annotations

from typing import Any

from dsock.claim import DEFAULT_DURATION, YEAR_10000
from dsock.command import MessageType
from dsock.names import MAX_NAME_BYTES

_RULE = f"1 to {MAX_NAME_BYTES} bytes of UTF-8 without control characters"
_VISIBLE = r"^[^\x00-\x1f\x7f-\x9f]+$"
_VISIBLE_WITHOUT_COMMA = r"^[^\x00-\x1f\x7f-\x9f,]+$"

NAME = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_BYTES, "pattern": _VISIBLE}
CHANNEL = NAME | {"pattern": _VISIBLE_WITHOUT_COMMA}
CLAIM_ID = {"type": "string", "pattern": r"^[A-Za-z0-9\-._~]{8,128}$"}
SECONDS = {"type": "integer", "minimum": 1, "maximum": YEAR_10000 - 1}
MESSAGE_TYPES = [
    *(one.name.lower() for one in MessageType),
    *(str(one.value) for one in MessageType),
]


def _query(name: str, text: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": schema, **more}


def _header(name: str, text: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": schema, **more}


PARAMETERS: dict[str, dict[str, Any]] = {
    "id": _query(
        "id",
        f"Target: the connection with this id. Goes before `channel` and `user`. {_RULE}.",
        NAME,
    ),
    "channel": _query(
        "channel",
        f"Target: all connections in this channel. Goes before `user`. {_RULE} or commas.",
        CHANNEL,
    ),
    "user": _query(
        "user",
        "Target: the connections of this user. One of `id`, `channel` and `user` is required. "
        f"{_RULE}.",
        NAME,
        example="42",
    ),
    "session": _query(
        "session",
        f"With `user`: only the connections of this session. Else ignored. {_RULE}.",
        NAME,
    ),
    "claimUser": _query("user", f"Who will connect. {_RULE}.", NAME, required=True, example="42"),
    "claimSession": _query("session", f"The session of the user. {_RULE}.", NAME),
    "channels": _query(
        "channels",
        "Channels to be in from the start, separated by commas; those of `default_channels` are "
        f"added at `/connect`. Each has {_RULE}.",
        {"type": "string", "pattern": _VISIBLE},
        example="news,sport",
    ),
    "duration": _query(
        "duration",
        "Seconds until the claim ends; it ends before the year 10000. Ignored with `expiration`.",
        SECONDS | {"default": DEFAULT_DURATION},
    ),
    "expiration": _query(
        "expiration",
        "When the claim ends, in seconds from epoch; in the future, before the year 10000.",
        SECONDS,
    ),
    "claimId": _query(
        "id",
        "The claim's id, if dSock shall not make one. Whoever guesses it can connect, so it "
        "should be long and random.",
        CLAIM_ID,
    ),
    "type": _query(
        "type",
        "`text` (then the body is UTF-8) or `binary`, or the number of the WebSocket frame.",
        {"type": "string", "enum": MESSAGE_TYPES},
        required=True,
        example="text",
    ),
    "report": _query(
        "report",
        "Only `false` counts: do not wait for the workers. The report then has `workers` alone.",
        {"type": "boolean", "default": True},
    ),
    "keepClaims": _query(
        "keepClaims",
        "Only `true` counts: leave the target's claims as they are.",
        {"type": "boolean", "default": False},
    ),
    "ignoreClaims": _query(
        "ignoreClaims",
        "Only `true` counts: leave the target's claims as they are.",
        {"type": "boolean", "default": False},
    ),
    "channelInPath": {
        "name": "channel",
        "in": "path",
        "required": True,
        "description": f"The channel, percent-encoded. {_RULE} or commas.",
        "schema": CHANNEL,
        "example": "news",
    },
    "upgrade": _header(
        "Upgrade", "Makes it a WebSocket handshake.", {"const": "websocket"}, required=True
    ),
    "connection": _header(
        "Connection", "Lists `Upgrade`.", {"type": "string", "example": "Upgrade"}, required=True
    ),
    "webSocketKey": _header(
        "Sec-WebSocket-Key",
        "16 random bytes in base64.",
        {"type": "string", "pattern": "^[A-Za-z0-9+/]{21}[AQgw]==$"},
        required=True,
    ),
    "webSocketVersion": _header(
        "Sec-WebSocket-Version", "The version of RFC 6455.", {"const": "13"}, required=True
    ),
    "webSocketProtocol": _header(
        "Sec-WebSocket-Protocol",
        "Subprotocols. `dsock.claim.ID` and `dsock.jwt.TOKEN` are credentials; with one of "
        "these, one more must be offered. The first that is no credential is selected.",
        {"type": "string", "pattern": "^[A-Za-z0-9._\\-]+(, ?[A-Za-z0-9._\\-]+)*$"},
    ),
    "origin": _header(
        "Origin",
        "Browsers send it. It must be one of `allowed_origins`; a request without it passes.",
        {"type": "string", "pattern": "^[!-~]+$"},
    ),
    "ifNoneMatch": _header(
        "If-None-Match",
        "The `ETag` of what the caller has: 304 if it is still that.",
        {"type": "string", "pattern": "^[!-~]+$"},
    ),
    "requestId": _header(
        "X-Request-ID",
        "The id that the answer and the log will carry. One that is not 1 to 128 visible ASCII "
        "characters is replaced.",
        {"type": "string", "pattern": "^[!-~]{1,128}$"},
    ),
}

SECURITY: dict[str, dict[str, Any]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the option `token` (RFC 6750, section 2.1).",
    },
    "token": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "A token of the option `token`. Queries end up in logs: a Bearer does not.",
    },
    "claim": {
        "type": "apiKey",
        "in": "query",
        "name": "claim",
        "description": "The id of a claim from `POST /claim`.",
    },
    "jwt": {"type": "apiKey", "in": "query", "name": "jwt", "description": "A JWT."},
    "jwtBearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JWT, kept out of the query.",
    },
}

BODY: dict[str, Any] = {
    "description": "The message, at most `max_message_size` bytes. It may be empty.",
    "required": False,
    "content": {
        "text/plain": {"schema": {"type": "string"}, "example": "Hi"},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "*/*": {"schema": {}},
    },
}
