"""What is answered when nothing is wrong: schemas, and one example of each."""

from __future__ import annotations

from typing import Any

from dsock.api.openapi.parameters import CHANNEL, CLAIM_ID, NAME
from dsock.report import Report

_REPORT = {
    "workers": "Workers that were told.",
    "connections": "Connections that took the message; for other commands, that matched.",
    "dropped": "Connections that refused it, because too much was already waiting for them.",
    "unanswered": "Workers that did not confirm.",
}
_COUNT = {"type": "integer", "minimum": 0}
_MOMENT = {"type": "integer", "minimum": 0}
_CHANNELS = {"type": "array", "items": CHANNEL}


def _object(
    properties: dict[str, Any], *optional: str, description: str | None = None
) -> dict[str, Any]:
    """An object with these properties, all but the `optional` ones required."""
    schema: dict[str, Any] = {"type": "object"}
    if description:
        schema["description"] = description
    required = [name for name in properties if name not in optional]
    return schema | {"required": required, "properties": properties}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _said(text: str, media_type: str, schema: Any, example: Any = None) -> dict[str, Any]:
    content = {"schema": schema} | ({} if example is None else {"example": example})
    return {"description": text, "content": {media_type: content}}


def _json(text: str, example: dict[str, Any], **properties: Any) -> dict[str, Any]:
    schema = _object({"success": {"const": True}, **properties})
    return _said(text, "application/json", schema, {"success": True, **example})


SCHEMAS: dict[str, dict[str, Any]] = {
    "Report": _object(
        {field: _COUNT | {"description": _REPORT[field]} for field in Report._fields},
        description="What really happened to a command.",
    ),
    "Told": _object(
        {"workers": _COUNT | {"description": _REPORT["workers"]}},
        description="The report of a send that did not wait.",
    ),
    "Claim": _object(
        {
            "id": CLAIM_ID | {"description": "What a client connects with."},
            "expiration": _MOMENT | {"description": "When it ends, in seconds from epoch."},
            "user": NAME,
            "session": NAME,
            "channels": _CHANNELS | {"description": "Without those of `default_channels`."},
        },
        "session",
    ),
    "Connection": _object(
        {
            "id": NAME | {"description": "What `id=` as a target takes."},
            "worker": {"type": "string", "description": "The id of the worker that holds it."},
            "lastPing": _MOMENT
            | {
                "description": "When the client last sent or answered a ping, in seconds from "
                "epoch. Absent if that cannot be read."
            },
            "user": NAME,
            "session": NAME,
            "channels": _CHANNELS,
        },
        "session",
        "lastPing",
    ),
    "Failure": _object(
        {
            "success": {"const": False},
            "error": {"type": "string", "description": "One sentence for people."},
            "errorCode": {"type": "string", "description": "For programs; it does not change."},
            "requestId": {"type": "string", "description": "As in `X-Request-ID` and the log."},
        },
        description="What every failure is answered as.",
    ),
}

_CLAIM = {
    "id": "x-RH_4nszxChpK8GTq3f0w2LdB7yVm1e",
    "expiration": 1795507132,
    "user": "42",
    "channels": ["news"],
}
_CONNECTION = {
    "id": "191d0592-6a3e-4c0f-9d55-0d1d3c0a7f21",
    "worker": "19f81fcd-1b7c-4f57-8a55-2f0f8e3b9c10",
    "lastPing": 1795513533,
    "user": "42",
    "session": "a",
    "channels": ["news"],
}
_COUNTS = Report(workers=1, connections=3)._asdict()

CLAIM_MADE = _json("The claim.", {"claim": _CLAIM}, claim=_ref("Claim"))
COMMANDED = _json("Done, and confirmed by all.", {"report": _COUNTS}, report=_ref("Report"))
SENT = _json(
    "What happened to the message.",
    {"report": _COUNTS},
    report={"anyOf": [_ref("Report"), _ref("Told")]},
)
INFO = _json(
    "All there is of the target.",
    {"connections": [_CONNECTION], "claims": [_CLAIM]},
    connections={"type": "array", "items": _ref("Connection")},
    claims={"type": "array", "items": _ref("Claim")},
)
READY = _json("It should be given traffic.", {})
PONG = _said("It answers.", "text/plain", {"const": "pong"}, "pong")
METRICS = _said("Metrics as text.", "text/plain", {"type": "string"})


def _kept(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "headers": _KEPT}


_KEPT = {
    "ETag": {"required": True, "schema": {"type": "string"}},
    "Cache-Control": {"required": True, "schema": {"const": "no-cache"}},
}
DOCUMENT = _kept(_said("An OpenAPI document.", "application/json", {"type": "object"}))
PAGE = _kept(_said("A page.", "text/html", {"type": "string"}))
UNCHANGED = _kept({"description": "What the caller has is what there is."})

SWITCHED: dict[str, Any] = {
    "description": "The client is in: from here on, WebSocket frames.",
    "headers": {
        "Upgrade": {"required": True, "schema": {"const": "websocket"}},
        "Connection": {"required": True, "schema": {"const": "Upgrade"}},
        "Sec-WebSocket-Accept": {"required": True, "schema": {"type": "string"}},
        "Sec-WebSocket-Protocol": {
            "description": "The subprotocol that was selected, if any was offered.",
            "schema": {"type": "string"},
        },
        "Sec-WebSocket-Extensions": {
            "description": "permessage-deflate, if it was offered.",
            "schema": {"type": "string"},
        },
    },
}
