"""The parser of `websockets`, which also says how much of a frame is still to come.

How much a byte costs depends on what it belongs to: as the payload of one frame many cost next
to nothing, as small frames each costs its part of one. So whoever reads in pieces has to know.
"""

from __future__ import annotations

from collections.abc import Generator

from websockets.protocol import OPEN, Protocol, Side
from websockets.streams import StreamReader


class FrameReader(Protocol):
    """Reads what a client sends. A message has `max_size` bytes at most."""

    def __init__(self, max_size: int) -> None:
        super().__init__(Side.SERVER, state=OPEN, max_size=max_size)
        # Another stream, and so a parser that reads from it.
        self.reader = self._stream = _Stream()
        self.parser = self.parse()
        next(self.parser)

    @property
    def lacking(self) -> int:
        """Bytes that certainly belong to the frame in which the last ones were; 0 when it is
        complete, or none of its payload has come."""
        stream = self._stream
        return stream.wanted - len(stream.buffer) if stream.buffer else 0


class _Stream(StreamReader):
    """`wanted`: how many bytes were asked for last."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted = 0

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        self.wanted = n
        return super().read_exact(n)
