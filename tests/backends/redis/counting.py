"""Counts what nodes in this process ask of Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dsock.backends.redis import scripts
from dsock.backends.redis.pipe import Call, Pipe


class Count:
    """What the calls of a test cost: commands, and round trips that carried any."""

    def __init__(self) -> None:
        self.commands: list[tuple[str | bytes | int | float, ...]] = []
        self.trips = 0

    def note(self, batch: list[Call]) -> None:
        asked = [call.command for call in batch if not _every_second(call.command)]
        self.commands += asked
        self.trips += bool(asked)


def _every_second(command: tuple[str | bytes | int | float, ...]) -> bool:
    """Whether this is a look, a beat or a probe, which nobody asked for."""
    match command:
        case ("ZRANGE" | "ZADD" | "EXISTS", *_) | ("EVAL", scripts.BEAT, *_):
            return True
        case ("PUBLISH", _, bytes(payload)):
            return b"\x9a\x01\x20" in payload  # Field 19 of 32 characters: a probe.
    return False


class CountedPipe(Pipe):
    """A pipe whose exchanges are counted while there is a count."""

    count: Count | None = None

    async def _exchange(self, batch: list[Call]) -> list[Call]:
        if CountedPipe.count:
            CountedPipe.count.note(batch)
        return await super()._exchange(batch)


@contextmanager
def counting() -> Iterator[Count]:
    """Counts inside this context; for nodes whose pipes are `CountedPipe`s."""
    CountedPipe.count = Count()
    try:
        yield CountedPipe.count
    finally:
        CountedPipe.count = None
