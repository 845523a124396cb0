"""The document as one page for people: no script, nothing loaded from anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Any

STYLE = files("dsock.api").joinpath("docs_page.css").read_text()

_SETUP = "export DSOCK=http://localhost:6241 TOKEN=change-me CLAIM=id-of-a-claim"


def page(document: dict[str, Any]) -> str:
    """The HTML page of an OpenAPI document that `dsock.api.openapi` has made."""
    return "\n".join(_Page(document).lines())


class _Page:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._calls = [
            (method.upper(), path, self._resolved(operation))
            for path, item in document["paths"].items()
            for method, operation in item.items()
        ]

    def lines(self) -> Iterator[str]:
        info = self._document["info"]
        title = escape(f"{info['title']} {info['version']}")
        yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
        yield f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>"
        yield f"<h1>{title}</h1>\n{_prose(info['description'])}"
        yield '<p>For programs: <a href="openapi.json">openapi.json</a>. For the examples:</p>'
        yield f"<pre>{_SETUP}</pre>\n</header>\n{self._contents()}\n<main>"
        for tag in self._document["tags"]:
            yield f"<h2>{escape(tag['name'])}</h2>\n{_prose(tag['description'])}"
            for method, path, operation in self._of(tag["name"]):
                yield from self._call(method, path, operation)
        yield "</main>\n</body>\n</html>\n"

    def _of(self, tag: str) -> list[tuple[str, str, dict[str, Any]]]:
        return [call for call in self._calls if tag in call[2]["tags"]]

    def _contents(self) -> str:
        links = [
            f'<li><a href="#{escape(operation["operationId"])}">{method} {escape(path)}</a> '
            f"{escape(operation['summary'])}</li>"
            for tag in self._document["tags"]
            for method, path, operation in self._of(tag["name"])
        ]
        return "<nav>\n<ul>\n" + "\n".join(links) + "\n</ul>\n</nav>"

    def _call(self, method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
        anchor = escape(operation["operationId"])
        yield f'<section id="{anchor}">\n<h3><a href="#{anchor}">{method} {escape(path)}</a></h3>'
        yield f"<p><strong>{_inline(operation['summary'])}.</strong></p>"
        yield _prose(operation["description"])
        for sample in operation["x-codeSamples"]:
            yield f"<pre>{escape(sample['source'])}</pre>"
        yield from self._credentials(operation["security"])
        yield "<h4>Parameters</h4>\n<dl>"
        for parameter in operation["parameters"]:
            yield from _parameter(parameter)
        if body := operation.get("requestBody"):
            yield f"<dt>Body</dt>\n<dd>{_inline(body['description'])}</dd>"
        yield "</dl>\n<h4>Answers</h4>"
        for status, answer in operation["responses"].items():
            yield from _answer(f"{anchor}-{status}", status, answer)
        yield "</section>"

    def _credentials(self, security: list[dict[str, Any]]) -> Iterator[str]:
        named = [name for one in security for name in one]
        if named:
            yield "<h4>Credentials, any one of these</h4>\n<dl>"
        for name in named:
            scheme = self._document["components"]["securitySchemes"][name]
            shown = "Authorization: Bearer ..."
            if scheme["type"] == "apiKey":
                shown = f"?{scheme['name']}=..."
            yield f"<dt><code>{escape(shown)}</code></dt>"
            yield f"<dd>{_inline(scheme['description'])}</dd>"
        if named:
            yield "</dl>"

    def _resolved(self, node: Any) -> Any:
        """`node` without references."""
        if isinstance(node, list):
            return [self._resolved(one) for one in node]
        if not isinstance(node, dict):
            return node
        if "$ref" not in node:
            return {name: self._resolved(value) for name, value in node.items()}
        found: Any = self._document
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return self._resolved(found)


def _parameter(parameter: dict[str, Any]) -> Iterator[str]:
    notes = [parameter["in"], *(["required"] if parameter.get("required") else [])]
    schema = parameter["schema"]
    if values := schema.get("enum") or [schema[key] for key in ("const",) if key in schema]:
        notes.append(" or ".join(str(value) for value in values))
    notes.append(schema.get("type", ""))
    if "default" in schema:
        notes.append(f"default {json.dumps(schema['default'])}")
    shown = escape(", ".join(note for note in notes if note))
    yield f"<dt><code>{escape(parameter['name'])}</code> <small>{shown}</small></dt>"
    yield f"<dd>{_inline(parameter['description'])}</dd>"


def _answer(anchor: str, status: str, answer: dict[str, Any]) -> Iterator[str]:
    yield f'<details id="{anchor}"><summary><b>{status}</b> {_inline(answer["description"])}'
    yield "</summary>"
    headers = ", ".join(f"<code>{escape(name)}</code>" for name in answer["headers"])
    yield f"<p>Headers: {headers}</p>"
    for media_type, content in answer.get("content", {}).items():
        if "example" in content:
            yield f"<p>{escape(media_type)}</p>\n<pre>{_pretty(content['example'])}</pre>"
        if "examples" in content:
            yield "<dl>"
            for example in content["examples"].values():
                yield f"<dt><code>{escape(example['value']['errorCode'])}</code></dt>"
                yield f"<dd>{_inline(example['summary'])}<br>{_inline(example['description'])}</dd>"
            yield "</dl>"
    yield "</details>"


def _pretty(example: Any) -> str:
    return escape(example if isinstance(example, str) else json.dumps(example, indent=2))


def _inline(text: str) -> str:
    """Text in which `backticks` mark code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(text))


def _prose(text: str) -> str:
    return "\n".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n"))
