"""Origins: which pages may connect."""

from __future__ import annotations

import pytest

from dsock.origin import origin_allowed

SUBDOMAINS = ["https://*.example.com"]


@pytest.mark.parametrize("allowed", [[], ["https://example.com"], ["*"]])
def test_a_request_without_origin_comes_from_no_page_and_passes(allowed: list[str]) -> None:
    assert origin_allowed(None, allowed)


@pytest.mark.parametrize("origin", ["https://example.com", "null", "", "chrome-extension://abc"])
def test_a_star_lets_every_page_in(origin: str) -> None:
    assert origin_allowed(origin, ["*"])


@pytest.mark.parametrize(
    "origin", ["https://example.com", "HTTPS://Example.COM", "http://localhost:3000"]
)
def test_an_origin_on_the_list_passes(origin: str) -> None:
    assert origin_allowed(origin, ["https://example.com", "http://LOCALHOST:3000"])


@pytest.mark.parametrize(
    "origin",
    [
        *("https://example.org", "http://example.com", "https://example.com:8443", "null", ""),
        *("https://example.com.evil.org", "https://evil-example.com", "https://a.example.com"),
    ],
)
def test_b10_a_foreign_origin_is_refused(origin: str) -> None:
    assert not origin_allowed(origin, ["https://example.com"])


def test_an_empty_list_lets_no_page_in() -> None:
    assert not origin_allowed("https://example.com", [])


@pytest.mark.parametrize(
    "origin", ["https://a.example.com", "https://a.b.example.com", "HTTPS://A.EXAMPLE.COM"]
)
def test_a_wildcard_stands_for_subdomains_at_any_depth(origin: str) -> None:
    assert origin_allowed(origin, SUBDOMAINS)


@pytest.mark.parametrize(
    "origin",
    [
        *("https://example.com", "http://a.example.com", "https://a.example.com:8443", "null"),
        *("https://aexample.com", "https://a.example.com.evil.org", "https://a.example.com."),
    ],
)
def test_a_wildcard_stands_for_nothing_else(origin: str) -> None:
    assert not origin_allowed(origin, SUBDOMAINS)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.org/.example.com", "evil.org\\.example.com", "me@a.example.com"),
        *("evil.org?.example.com", "evil.org#.example.com", "evil.org:1.example.com"),
        *("evil.org .example.com", ".example.com", "me:pw@a.example.com"),
    ],
)
def test_what_is_no_origin_does_not_pass_for_a_subdomain(host: str) -> None:
    assert not origin_allowed(f"https://{host}", SUBDOMAINS)


def test_a_wildcard_may_have_a_port() -> None:
    assert origin_allowed("http://a.localhost:3000", ["http://*.localhost:3000"])
