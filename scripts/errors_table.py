"""Make `docs/errors.md` from the OpenAPI document, and so from the code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dsock import errors
from dsock.api.openapi import document
from dsock.errors import DsockError

PAGE = Path(__file__).parent.parent / "docs" / "errors.md"

HEAD = """\
# Error codes

Made by `scripts/errors_table.py`; do not edit.

A failure is `{"success": false, "error": "...", "errorCode": "...", "requestId": "..."}`. The
sentence in `error` may change; a code does not. What each call answers is also at `/docs` of a
running node, and for programs at `/openapi.json`.

| code | status | what it means | what to do | answered by |
| --- | --- | --- | --- | --- |
"""

FAMILIES = {
    "UNAUTHORIZED": "Whatever is answered with 401 says more precisely what is missing.",
    "UNAVAILABLE": "Whatever is answered with 503 says more precisely what could not be done.",
}
"""Codes in `errors.py` that are only there for others to be made from."""

NOT_HERE = {
    "ERROR_DELIVERING_MESSAGING": "A worker that could not be told is counted in the report as "
    "`unanswered`; if none could be, the answer is the `ERROR_GETTING_` code of the target.",
    "ERROR_REACHING_WORKER": "A worker that is gone is no longer told; one that may still be "
    "there is counted as `unanswered`.",
    "ERROR_BINDING_QUERY_PARAMS": "Each parameter that cannot be read has a code of its own; one "
    "that is not known is ignored.",
    "INVALID_CONTENT_TYPE": "`Content-Type` is not looked at; `type` says what a message is.",
}
"""Codes of the Go dSock that nothing here answers, and why."""

BY_NO_CALL = {"NOT_FOUND": "any other path", "METHOD_NOT_ALLOWED": "any other method"}

NEVER = """
## Codes that no call answers

In `errors.py`, for others to be made from:

"""

GO = """
Of the Go dSock, which do not occur here:

"""

FOOT = """
`/info` reads connections and claims together: what could not be read is named by the target, never
`ERROR_GETTING_CLAIM`, which the Go dSock documents for it as well.
"""


class Line(NamedTuple):
    status: int
    code: str
    meaning: str
    hint: str


def page() -> str:
    """The page. Exits when an error has no place on it."""
    made = document()
    calls = _calls(made)
    _require_complete({line.code for line in calls})
    every = sum(len(item) for item in made["paths"].values())
    rows = []
    for line, by in sorted(calls.items()):
        who = ", ".join(by) or BY_NO_CALL[line.code]
        if len(by) == every:
            who = "every call"
        cells = [f"`{line.code}`", str(line.status), line.meaning, line.hint, who]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return HEAD + "\n".join(rows) + "\n" + NEVER + _listed(FAMILIES) + GO + _listed(NOT_HERE) + FOOT


def _calls(made: dict[str, Any]) -> dict[Line, list[str]]:
    """Which calls answer each line; those that none answers are there too."""
    calls: dict[Line, list[str]] = {}
    for response in made["components"]["responses"].values():
        for line in _lines(response):
            calls.setdefault(line, [])
    for path, item in made["paths"].items():
        for operation in item.values():
            for response in operation["responses"].values():
                for line in _lines(response):
                    calls.setdefault(line, []).append(f"`{path.removesuffix('/{channel}')}`")
    return calls


def _lines(response: dict[str, Any]) -> Iterator[Line]:
    for name, example in (
        response.get("content", {}).get("application/json", {}).get("examples", {}).items()
    ):
        kind: type[DsockError] = getattr(errors, name)
        yield Line(kind.status, kind.code, example["summary"], example["description"])


def _listed(codes: dict[str, str]) -> str:
    return "".join(f"* `{code}`: {why}\n" for code, why in codes.items())


def _require_complete(answered: set[str]) -> None:
    defined = {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, DsockError)
    }
    if lost := defined - answered - FAMILIES.keys():
        sys.exit(f"no call of api/openapi/operations.py answers {', '.join(sorted(lost))}")


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        sys.exit("docs/errors.md is stale: run scripts/errors_table.py")
