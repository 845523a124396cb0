"""The page for people: complete, self-contained, and with examples that work."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from base64 import b64encode
from html.parser import HTMLParser

import pytest

from dsock.api.docs_page import page
from dsock.api.openapi import document
from dsock.api.openapi.operations import OPERATIONS, Operation
from tests.api.described import closed, codes, require_valid, responses
from tests.support.cluster import TOKEN, Cluster

VOID = {"meta", "br"}


class Outline(HTMLParser):
    """What a page is made of; fails where an element is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.open += [] if tag in VOID else [tag]
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                assert value not in self.anchors
                self.anchors.add(value or "")
            if name == "href":
                self.links.add(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole() -> None:
    outline = Outline(page(document()))
    assert outline.open == []
    assert {one.id for one in OPERATIONS} <= outline.anchors


def test_the_page_loads_and_runs_nothing() -> None:
    html = page(document())
    outline = Outline(html)
    assert not outline.tags & {"script", "link", "img", "iframe", "object", "form", "base"}
    assert outline.attributes == {"charset", "content", "href", "id", "lang", "name"}
    anchors = {link.removeprefix("#") for link in outline.links if link.startswith("#")}
    assert anchors <= outline.anchors
    assert outline.links - {f"#{anchor}" for anchor in anchors} == {"openapi.json"}
    assert not re.search(r"@import|url\(", html)


def test_b83_the_page_names_every_code_where_it_is_answered() -> None:
    html = page(document())
    for call, status, response in responses(document()):
        part = html.partition(f'<details id="{call}-{status}">')[2].partition("</details>")[0]
        assert part
        for code in codes(response):
            assert f"<dt><code>{code}</code></dt>" in part


def test_whatever_the_document_says_is_shown_and_not_obeyed() -> None:
    evil = "<script>&\"'"
    text = json.dumps(document()).replace("Hand its id", json.dumps(evil)[1:-1])
    made = json.loads(text)
    send = made["paths"]["/send"]["post"]
    send["summary"] = send["x-codeSamples"][0]["source"] = evil
    made["info"]["title"] = made["tags"][0]["description"] = evil
    made["components"]["parameters"]["type"]["name"] = evil
    made["components"]["parameters"]["type"]["schema"]["enum"] = [evil]
    send["responses"]["200"]["content"]["application/json"]["example"] = {"a": evil}
    send["responses"]["400"]["description"] = evil
    for example in send["responses"]["400"]["content"]["application/json"]["examples"].values():
        example["summary"] = example["description"] = example["value"]["errorCode"] = evil
    html = page(made)
    assert "<script" not in html
    assert html.count("&lt;script&gt;&amp;") > 12
    Outline(html)


async def test_a_browser_is_told_to_load_nothing(node: Cluster) -> None:
    response = await node.api.http.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    style = re.findall(r"<style>(.*?)</style>", response.text, re.DOTALL)
    digest = b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert response.headers["content-security-policy"].split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    assert response.headers["x-content-type-options"] == "nosniff"


# --- the examples ------------------------------------------------------------------------

REACHED = {"send": 1, "disconnect": 1, "subscribe": 1, "unsubscribe": 0}
"""How many connections an example reaches; nobody is in the channel `sport`."""
JSON = [one for one in OPERATIONS if one.id in ("createClaim", "info", "ready", *REACHED)]
PLAIN = [one for one in OPERATIONS if one not in JSON]
TEXT = {
    "connect": "HTTP/1.1 101 ",
    "ping": "pong",
    "metrics": "dsock_connections 1.0",
    "openapi": '"openapi": "3.1.0"',
    "docs": "</html>",
}


@pytest.mark.parametrize("operation", JSON, ids=lambda one: one.id)
async def test_an_example_of_a_call_can_be_pasted(node: Cluster, operation: Operation) -> None:
    content = json.loads(await shell(node, f"curl -s {operation.curl}"))
    require_valid(closed(document()), operation.id, 200, content, {"x-request-id": ""})
    if operation.id in REACHED:
        assert content["report"]["connections"] == REACHED[operation.id]
    if operation.id == "info":
        assert [len(content[part]) for part in ("connections", "claims")] == [1, 1]


@pytest.mark.parametrize("operation", PLAIN, ids=lambda one: one.id)
async def test_an_example_without_json_can_be_pasted(node: Cluster, operation: Operation) -> None:
    said = await shell(node, f"curl -s {operation.curl}")
    assert TEXT[operation.id] in said


async def shell(node: Cluster, command: str) -> str:
    """What a command writes, with the variables that the page sets, while user 42 is there
    and has one more claim."""
    async with node.client("42", session="a", channels="news"):
        claim = await node.api.claim("42", session="a")
        process = await asyncio.create_subprocess_shell(
            command.replace("--max-time 5", "--max-time 3"),
            env={**os.environ, "DSOCK": node.api.url, "TOKEN": TOKEN, "CLAIM": claim},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        return out.decode()
