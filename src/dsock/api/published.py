"""`/openapi.json` and `/docs`: what the calls are, for anyone who asks."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dsock.api.docs_page import STYLE, page
from dsock.api.openapi import document


def published_routes() -> list[BaseRoute]:
    """Both are made here, once; they hold no secret, so no token is asked for."""
    made = document()
    style = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return [
        _fixed("/openapi.json", json.dumps(made).encode(), {"content-type": "application/json"}),
        _fixed(
            "/docs",
            page(made).encode(),
            {
                "content-type": "text/html; charset=utf-8",
                "content-security-policy": policy,
                "referrer-policy": "no-referrer",
            },
        ),
    ]


def _fixed(path: str, body: bytes, headers: Mapping[str, str]) -> BaseRoute:
    """A route that always answers the same; who has it already is told so (RFC 9110,
    section 13.1.2)."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    kept = {"etag": tag, "cache-control": "no-cache", "x-content-type-options": "nosniff"}

    async def show(request: Request) -> Response:
        known = ",".join(request.headers.getlist("if-none-match")).split(",")
        if any(one.strip().removeprefix("W/") in (tag, "*") for one in known):
            return Response(status_code=304, headers=kept)
        return Response(body, headers={**headers, **kept})

    return Route(path, show, methods=["GET"])
