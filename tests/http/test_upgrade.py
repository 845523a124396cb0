"""Handshakes: reading the query of one."""

from __future__ import annotations

import asyncio
from typing import cast
from urllib.parse import parse_qsl, quote_from_bytes, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock import names
from dsock.errors import InvalidUser, MissingClaim
from dsock.http.answers import failure
from dsock.http.upgrade import Upgrade, parse_query


@pytest.mark.parametrize(
    ("query", "read"),
    [
        (b"", []),
        (b"&&", []),
        (b"a=1", [("a", "1")]),
        (b"a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
        (b"a", [("a", "")]),
        (b"a=", [("a", "")]),
        (b"=1", [("", "1")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"a=b+c%20d%2Be", [("a", "b c d+e")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"a=%zz%", [("a", "%zz%")]),
        (b"%75ser=%C3%A9", [("user", "é")]),
        ("user=é".encode(), [("user", "é")]),
        (b"a=%26b%3D1", [("a", "&b=1")]),
        (b"a=%00", [("a", "\x00")]),
    ],
)
def test_a_query_is_names_and_values_in_order(query: bytes, read: list[tuple[str, str]]) -> None:
    assert parse_query(query) == read


texts = st.text(st.characters(codec="utf-8"))


@given(st.lists(st.tuples(texts, texts)))
def test_a_query_is_read_as_it_was_written(pairs: list[tuple[str, str]]) -> None:
    assert parse_query(urlencode(pairs).encode()) == pairs


@given(st.binary(), st.binary())
def test_two_different_values_never_read_the_same(one: bytes, other: bytes) -> None:
    values = [parse_query(f"a={quote_from_bytes(value)}".encode()) for value in (one, other)]
    assert (values[0] == values[1]) == (one == other)


@pytest.mark.parametrize("query", [b"user=\xff", b"user=%ff", b"user=%C3", b"user=%ED%A0%80"])
def test_bytes_that_are_no_utf8_name_nobody(query: bytes) -> None:
    ((_, user),) = parse_query(query)
    with pytest.raises(InvalidUser):
        names.user_name(user)


@given(st.binary())
def test_any_bytes_are_a_query(query: bytes) -> None:
    assert all(isinstance(part, str) for pair in parse_query(query) for part in pair)


@given(st.text("ab=&;%20+é", max_size=30))
def test_a_query_is_read_as_the_standard_library_reads_it(query: str) -> None:
    expected = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    assert parse_query(query.encode()) == expected


class Stuck:
    """A transport whose peer takes nothing."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = False
        self.aborted = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted.set()


async def test_who_was_refused_and_does_not_take_the_answer_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dsock.http.upgrade.LINGER", 0.01)
    transport = Stuck()
    upgrade = Upgrade(cast(asyncio.Transport, transport), b"", [], "::1")
    upgrade.refuse(failure(MissingClaim(), "id"))
    assert transport.closing
    async with asyncio.timeout(5):
        await transport.aborted.wait()
