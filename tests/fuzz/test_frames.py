"""What clients send, whole and broken, in whatever segments it comes."""

from __future__ import annotations

import asyncio
import zlib
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.client import require_as_expected
from tests.fuzz.rfc6455 import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

LIMIT = 300
"""Bytes that a message may have here: reached soon, and by lengths in two and in three parts."""

sizes = st.sampled_from([0, 1, 4, 125, 126, LIMIT - 1, LIMIT, LIMIT + 1, 2 * LIMIT])
bodies = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.builds(lambda size, byte: bytes([byte]) * size, sizes, st.integers(0, 255)),
)
masks = st.binary(min_size=4, max_size=4)


def framed(
    opcode: int, body: bytes, mask: bytes, fin: bool = True, rsv: int = 0, size: int | None = None
) -> bytes:
    """A frame; one that says another `size` than it has is a lie."""
    said = len(body) if size is None else size
    if said < 126:
        length = bytes([0x80 | said])
    elif said < 2**16:
        length = b"\xfe" + said.to_bytes(2, "big")
    else:
        length = b"\xff" + said.to_bytes(8, "big")
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(body))
    return bytes([fin << 7 | rsv << 4 | opcode]) + length + mask + masked


def deflated(body: bytes, before: bytes = b"") -> bytes:
    """A compressed message; with `before`, it may refer to what was said then."""
    packer = zlib.compressobj(wbits=-15, zdict=before) if before else zlib.compressobj(wbits=-15)
    packed = packer.compress(body) + packer.flush(zlib.Z_SYNC_FLUSH)
    return packed.removesuffix(b"\x00\x00\xff\xff")


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A message in frames, perhaps compressed, with control frames in between."""
    opcode, body = draw(st.sampled_from([TEXT, BINARY])), draw(bodies)
    compressed = draw(st.booleans())
    if compressed:
        body = deflated(body)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
    edges = [0, *cuts, len(body)]
    frames = []
    for number, (start, end) in enumerate(pairwise(edges)):
        fin = number == len(edges) - 2
        first = number == 0
        frames.append(
            framed(
                opcode if first else CONTINUATION,
                body[start:end],
                draw(masks),
                fin,
                4 if compressed and first else 0,
            )
        )
        if not fin:
            frames += draw(st.lists(controls, max_size=1))
    return b"".join(frames)


controls = st.builds(framed, st.sampled_from([PING, PONG]), st.binary(max_size=20) | bodies, masks)
goodbyes = st.builds(
    lambda code, reason, mask: framed(CLOSE, code.to_bytes(2, "big") + reason, mask),
    st.sampled_from([0, 999, 1000, 1001, 1004, 1005, 1006, 1011, 1014, 1015, 2999, 3000, 4999])
    | st.integers(0, 2**16 - 1),
    st.text(max_size=10).map(str.encode) | st.binary(max_size=130),
    masks,
) | st.builds(framed, st.just(CLOSE), st.binary(max_size=3), masks)
lies = st.builds(
    framed,
    st.integers(0, 15),
    st.binary(max_size=8),
    masks,
    st.booleans(),
    st.integers(0, 7),
    st.none() | st.sampled_from([2, LIMIT + 1, 2**16, 2**31, 2**63, 2**64 - 1]),
)
SAID = b"what was said before"
# No context is kept between messages: the second means nothing.
referring = st.builds(
    lambda mask: (
        framed(BINARY, deflated(SAID), mask, rsv=4)
        + framed(BINARY, deflated(SAID, SAID), mask, rsv=4)
    ),
    masks,
)
good = st.lists(messages() | controls, max_size=4).map(b"".join)
endings = goodbyes | lies | referring | st.just(b"")
streams = st.builds(lambda *parts: b"".join(parts), good, endings, good)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """What was in order, but for some bytes."""
    data = bytearray(draw(streams))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        data[place : place + draw(st.integers(0, 1))] = draw(st.binary(max_size=2))
    return bytes(data)


@st.composite
def segments(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes, cut somewhere; or everywhere."""
    if draw(st.integers(0, 9)) == 0:
        return [data[place : place + 1] for place in range(len(data))]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=5)))
    return [data[start:end] for start, end in pairwise([0, *cuts, len(data)])]


@settings(max_examples=400)
@given(
    st.one_of(streams, spoilt(), st.binary(max_size=64)).flatmap(segments),
    st.sampled_from([0, 9, 15]),
)
def test_what_clients_send_comes_to_what_the_specification_says(
    segments: list[bytes], bits: int
) -> None:
    asyncio.run(_read(segments, bits))


async def _read(segments: list[bytes], bits: int) -> None:
    require_as_expected(segments, LIMIT, bits)
