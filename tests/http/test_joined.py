"""What an answer's head and body are written as."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from dsock.http.joined import JoinedWrites
from tests.support.eventually import next_turn


class Raw:
    """A transport that notes what happens to it."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("close")

    def write_eof(self) -> None:
        self.done.append("eof")


def joined(raw: Raw) -> JoinedWrites:
    return JoinedWrites(cast(asyncio.Transport, raw), asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_leaves_in_one_write() -> None:
    raw = Raw()
    transport = joined(raw)
    transport.write(b"head ")
    transport.write(b"body")
    assert raw.done == []
    await next_turn()
    assert raw.done == [b"head body"]
    transport.write(b"more")
    await next_turn()
    assert raw.done == [b"head body", b"more"]


async def test_nothing_is_left_behind_by_a_close() -> None:
    closed, ended = Raw(), Raw()
    for transport, end in ((joined(closed), "close"), (joined(ended), "write_eof")):
        transport.write(b"last words")
        getattr(transport, end)()
    await next_turn()
    assert closed.done == [b"last words", "close"]
    assert ended.done == [b"last words", "eof"]


async def test_nothing_is_written_to_who_has_gone_meanwhile() -> None:
    raw = Raw()
    joined(raw).write(b"answer")
    raw.closing = True
    await next_turn()
    assert raw.done == []
