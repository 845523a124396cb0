"""Cross-site WebSocket hijacking: another's page connects with its visitor's credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.attacks import support
from tests.attacks.support import Victim
from tests.support.wire import dial, handshake

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALLOWED = "https://example.com,https://*.example.org,http://localhost:3000,http://*.test:8080"

REFUSED = 'dsock_connects_refused_total{code="ORIGIN_REFUSED"}'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim() -> AsyncIterator[Victim]:
    async with support.victim(allowed_origins=ALLOWED) as victim:
        yield victim


async def knock(victim: Victim, claim: str, *lines: str) -> int:
    """The status of a handshake with these headers."""
    head = handshake(f"/connect?claim={claim}")
    async with dial(victim.address) as wire:
        more = "".join(f"{line}\r\n" for line in lines).encode()
        await wire.send(head.removesuffix(b"\r\n"), more, b"\r\n")
        return (await wire.response()).status


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "HTTPS://EXAMPLE.COM",
        "https://a.example.org",
        "https://a.b.c.example.org",
        "https://A.Example.Org",
        "http://localhost:3000",
        "http://a.test:8080",
    ],
)
async def test_a_page_that_is_allowed_lets_its_visitors_in(victim: Victim, origin: str) -> None:
    claim = await victim.api.claim("visitor")
    assert await knock(victim, claim, f"origin: {origin}") == 101


async def test_who_comes_from_no_page_is_let_in(victim: Victim) -> None:
    assert await knock(victim, await victim.api.claim("program")) == 101


@pytest.mark.parametrize(
    "lines",
    [
        *(
            (f"origin: {origin}",)
            for origin in [
                # Another scheme or port.
                "http://example.com",
                "https://example.com:443",
                "https://example.com:8443",
                "http://localhost",
                "http://localhost:30000",
                "http://a.test",
                "http://a.test:80801",
                "https://a.test:8080",
                # Of nowhere.
                "null",
                "NULL",
                "",
                "file://",
                "https://",
                "*",
                "https://*.example.org",
                # What begins or ends like one that is allowed.
                "https://evilexample.com",
                "https://evilexample.org",
                "https://example.com.evil.io",
                "https://a.example.org.evil.io",
                "https://example.org",
                "https://www.example.com",
                "https://example.co",
                "https://example.comx",
                "https://example.com.",
                "https://a.example.org.",
                "https://.example.org",
                "https://..example.org",
                "https://a..example.org",
                "xhttps://example.com",
                # What is no origin, and a careless reader takes for one.
                "https://example.com/",
                "https://example.com@evil.io",
                "https://evil.io@a.example.org",
                "https://evil.io/.example.org",
                "https://evil.io?.example.org",
                "https://evil.io#.example.org",
                "https://evil.io\\.example.org",
                "https://evil.io%00.example.org",
                "https://evil.io:80.example.org",
                "https://evil.io,https://example.com",
                "https://evil.io https://example.com",
                "https://example.com https://evil.io",
                "https://ex\u00e4mple.org",
                "https://a\u3002example.org",
            ]
        ),
        ("origin: https://evil.io", "origin: https://example.com"),
        ("origin: https://evil.io", "sec-websocket-origin: https://example.com"),
        ("origin: https://example.com", "origin: https://evil.io"),
        ("origin: https://evil.io", "referer: https://example.com/", "host: example.com"),
    ],
    ids=lambda lines: " + ".join(lines),
)
async def test_a_foreign_page_is_refused_counted_and_burns_no_claim(
    victim: Victim, lines: tuple[str, ...]
) -> None:
    claim, before = await victim.api.claim("visitor"), await victim.count(REFUSED)
    assert await knock(victim, claim, *lines) in (400, 403)
    # Two hosts are no request at all.
    counted = 0 if any(line.startswith("host") for line in lines) else 1
    assert await victim.count(REFUSED) == before + counted
    assert await knock(victim, claim, "origin: https://example.com") == 101
