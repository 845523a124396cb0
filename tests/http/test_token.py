"""A token is guessed by its answers alone: how long they take says nothing."""

from __future__ import annotations

import hmac
from contextlib import suppress
from urllib.parse import quote

import pytest
from starlette.requests import Request

from dsock.errors import InvalidAuthorization
from dsock.http import gate as module
from dsock.http.gate import Gate
from dsock.limits import Failures
from tests.support.cluster import TOKEN, Cluster
from tests.support.wire import dial, request

TOKENS = [TOKEN, "the-one-that-is-replaced"]

GUESSES = [
    "x",
    TOKEN[:-1],
    f"{TOKEN[:-1]}x",
    f"{TOKEN}x",
    f"x{TOKEN[1:]}",
    TOKEN.upper(),
    "x" * len(TOKEN),
    "x" * 10_000,
    "\u00e9",
    f"{TOKEN},the-one-that-is-replaced",
    TOKEN,
    "the-one-that-is-replaced",
]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bytes]]:
    """What was compared in constant time: `hmac.compare_digest` takes as long as its second
    argument is long, wherever the first differs and however long that is."""
    pairs: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        pairs.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(module, "hmac", _Hmac(compare))
    return pairs


class _Hmac:
    def __init__(self, compare: object) -> None:
        self.compare_digest = compare


def shown(query: bytes = b"", authorization: bytes = b"") -> Request:
    headers = [(b"authorization", authorization)] if authorization else []
    client = ("127.0.0.1", 1)
    return Request({"type": "http", "query_string": query, "headers": headers, "client": client})


def require_token(request: Request) -> None:
    Gate(TOKENS, Failures(0)).require_token(request)


@pytest.mark.parametrize("guess", GUESSES, ids=lambda guess: guess[:40])
def test_every_guess_is_compared_in_constant_time_with_every_token(
    compared: list[tuple[bytes, bytes]], guess: str
) -> None:
    said = guess.encode()
    for one in (shown(b"token=" + said), shown(authorization=b"bearer " + said)):
        compared.clear()
        with suppress(InvalidAuthorization):
            require_token(one)
        # Also those behind one that was right.
        assert compared == [(said, token.encode()) for token in TOKENS]


def test_nothing_but_that_comparison_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "hmac", _Hmac(lambda *_: False))
    with pytest.raises(InvalidAuthorization):
        require_token(shown(b"token=" + TOKENS[0].encode()))
    monkeypatch.setattr(module, "hmac", _Hmac(lambda *_: True))
    require_token(shown(b"token=wrong"))


async def test_every_wrong_guess_is_answered_alike(node: Cluster) -> None:
    answers = set()
    async with dial(node.workers[0]) as wire:
        for guess in GUESSES:
            if guess == TOKEN:
                continue
            target = f"/send?type=text&user=u&token={quote(guess)}"
            await wire.send(request("POST", target, b"x", x_request_id="the-same"))
            response = await wire.response()
            headers = {name: text for name, text in response.headers.items() if name != "date"}
            answers.add((response.status, response.body, tuple(sorted(headers.items()))))
    assert [status for status, *_ in answers] == [401]
