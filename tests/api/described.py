"""The document as a test reads it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jsonschema_rs


class Answered(NamedTuple):
    """One answer of one call; without `code` it is no failure."""

    call: str
    status: int
    code: str


def responses(document: dict[str, Any]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Every response with the id of its call and its status."""
    for item in document["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                yield operation["operationId"], int(status), response


def codes(response: dict[str, Any]) -> list[str]:
    """The error codes that a response may have."""
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    if "allOf" not in schema:
        return []
    named: list[str] = schema["allOf"][1]["properties"]["errorCode"]["enum"]
    return named


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The same, but what it does not name may not be answered. For callers it stays open: a
    field that is added later breaks nobody."""
    document = copy.deepcopy(document)
    schemas = document["components"]["schemas"]
    closing = [schemas[name] for name in schemas if name != "Failure"]
    for _, _, response in responses(document):
        for content in response.get("content", {}).values():
            if content["schema"].keys() & {"properties", "allOf"}:
                closing.append(content["schema"])
    for schema in closing:
        schema["unevaluatedProperties"] = False
    return document


def require_valid(
    document: dict[str, Any], call: str, status: int, content: Any, headers: Mapping[str, str]
) -> None:
    """Fails if this is not what the call answers as JSON with this status. Names of headers
    are in lower case."""
    found = {(id, one): response for id, one, response in responses(document)}
    response = found[call, status]
    for name, header in response["headers"].items():
        if "$ref" in header or header["required"]:
            assert name.lower() in headers, (call, status, name)
    schema = response["content"]["application/json"]["schema"]
    validator = jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
    errors = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(content)]
    assert errors == [], (call, status, content)
