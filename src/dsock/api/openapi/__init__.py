"""The OpenAPI 3.1 document of everything that dSock answers over HTTP.

Made from the code: errors from `dsock.errors`, limits and names from the modules that have
them, and which call answers what from `operations.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dsock import __version__
from dsock.api.openapi.answers import SCHEMAS
from dsock.api.openapi.hints import HINTS
from dsock.api.openapi.operations import ELSEWHERE, OPERATIONS, Operation
from dsock.api.openapi.parameters import BODY, PARAMETERS, SECURITY
from dsock.errors import DsockError, WorkerUnanswered
from dsock.http.answers import failure
from dsock.report import Report

TAGS = {
    "API": "For back ends. Every call carries the token.",
    "Clients": "For the users' WebSockets.",
    "Health": "For load balancers and monitoring. No token.",
    "Description": "What you are reading. No token.",
}

ABOUT = """\
Treat your users' live WebSockets as a stateless HTTP API.

Of a repeated query parameter the first counts; an empty one counts as absent; one that dSock
does not know is ignored. With `insecure_no_token` no call needs a token.

A failure is JSON with `success`, `error`, `errorCode` and `requestId`. A path that is not listed
here is answered with 404 `NOT_FOUND`, another method with 405 `METHOD_NOT_ALLOWED`."""


def document() -> dict[str, Any]:
    """The document, anew: whoever gets it may change it."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        item = paths.setdefault(operation.path, {})
        item[operation.method.lower()] = _operation(operation)
    made = {
        "openapi": "3.1.0",
        "info": {
            "title": "dSock",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This node."}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "parameters": PARAMETERS,
            "securitySchemes": SECURITY,
            "headers": {"RequestId": _REQUEST_ID},
            "responses": {kind.__name__: _failed([kind]) for kind in ELSEWHERE},
        },
    }
    copy: dict[str, Any] = json.loads(json.dumps(made))
    return copy


_REQUEST_ID = {
    "description": "The request's id: the one it came with, or a new one. The log has it too.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
}


def _operation(operation: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.text,
        "parameters": [
            {"$ref": f"#/components/parameters/{name}"}
            for name in (*operation.parameters, "requestId")
        ],
        "security": [{name: []} if name else {} for name in operation.security],
        "responses": {},
        "x-codeSamples": [{"lang": "Shell", "label": "curl", "source": f"curl {operation.curl}"}],
    }
    if operation.body:
        made["requestBody"] = BODY
    for status, answer in operation.answers.items():
        made["responses"][str(status)] = _with_request_id(answer)
    for status, kinds in by_status(operation.all_errors).items():
        made["responses"][str(status)] = _failed(kinds)
    return made


def by_status(kinds: Iterable[type[DsockError]]) -> dict[int, list[type[DsockError]]]:
    """Kinds of error under the statuses they are answered with."""
    grouped: dict[int, list[type[DsockError]]] = {}
    for kind in kinds:
        grouped.setdefault(kind.status, []).append(kind)
    return grouped


def _failed(kinds: list[type[DsockError]]) -> dict[str, Any]:
    codes = list(dict.fromkeys(kind.code for kind in kinds))
    shape: dict[str, Any] = {"errorCode": {"enum": codes}}
    narrower: dict[str, Any] = {"properties": shape}
    if WorkerUnanswered in kinds:
        shape["report"] = {"$ref": "#/components/schemas/Report"}
        narrower["required"] = ["report"]
    schema = {"allOf": [{"$ref": "#/components/schemas/Failure"}, narrower]}
    examples = {kind.__name__: _example(kind) for kind in kinds}
    answer: dict[str, Any] = {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {"application/json": {"schema": schema, "examples": examples}},
        "headers": _headers(kinds),
    }
    return _with_request_id(answer)


def _example(kind: type[DsockError]) -> dict[str, Any]:
    report = Report(workers=2, connections=1, unanswered=1)
    error = WorkerUnanswered(report) if kind is WorkerUnanswered else kind()
    return {
        "summary": error.message,
        "description": HINTS[kind],
        "value": json.loads(failure(error, "6f1c2a9be04d7738").body),
    }


def _headers(kinds: list[type[DsockError]]) -> dict[str, Any]:
    """Headers of some of these kinds; required if they are of all."""
    headers: dict[str, Any] = {}
    for kind in kinds:
        for name, value in kind.headers.items():
            always = all(name in other.headers for other in kinds)
            headers[name] = {"required": always, "schema": {"const": value}}
    return headers


def _with_request_id(answer: Any) -> dict[str, Any]:
    mine = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}
    return {**answer, "headers": answer.get("headers", {}) | mine}
