"""Which web pages may connect: the `Origin` header against `allowed_origins`."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LABELS = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def origin_allowed(origin: str | None, allowed: Iterable[str]) -> bool:
    """Whether a page of this origin (RFC 6454) may connect.

    `*` allows all; `https://*.example.com` every subdomain, at any depth, but not
    `https://example.com` itself. A request without Origin comes from no page and passes.
    """
    if origin is None:
        return True
    origin = origin.lower()
    return any(_matches(origin, pattern.lower()) for pattern in allowed)


def _matches(origin: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    scheme, wildcard, domain = pattern.partition("://*.")
    if not wildcard:
        return pattern == origin
    if not origin.startswith(f"{scheme}://"):
        return False
    host = origin.removeprefix(f"{scheme}://")
    return host.endswith(f".{domain}") and bool(_LABELS.fullmatch(host.removesuffix(f".{domain}")))
