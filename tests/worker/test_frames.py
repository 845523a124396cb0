"""The frames of a message: what every client reads in them, and when they are made."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from dsock.command import MessageType
from dsock.worker.frames import LARGEST, Frames

LONG = b"the same again, " * 100


def read(data: bytes, inflates: bool) -> tuple[int, bytes]:
    """What a client reads."""
    client = Protocol(Side.CLIENT, state=OPEN, max_size=None)
    if inflates:
        client.extensions = [PerMessageDeflate(True, True, 15, 15)]
    client.receive_data(data)
    [frame] = client.events_received()
    assert isinstance(frame, Frame)
    return frame.opcode, bytes(frame.data)


@given(st.sampled_from(MessageType), st.binary(max_size=3000), st.integers(1, 3000))
def test_both_frames_hold_the_message(type: MessageType, body: bytes, compress_from: int) -> None:
    if type is MessageType.TEXT:
        body = body.hex().encode()
    frames = Frames(type, body, compress_from)
    assert read(frames.plain, inflates=False) == (type.value, body)
    assert read(frames.plain, inflates=True) == (type.value, body)
    assert read(frames.deflated(), inflates=True) == (type.value, body)
    assert len(frames.deflated()) <= len(frames.plain)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 2**16 - 1, 2**16, 2**16 + 1, 2**20])
@pytest.mark.parametrize("type", MessageType)
def test_a_message_of_any_size_is_the_frame_that_the_library_makes(
    type: MessageType, size: int
) -> None:
    body = b"x" * size
    frames = Frames(type, body, 1)
    assert frames.plain == Frame(Opcode(type.value), body).serialize(mask=False)
    assert read(frames.deflated(), inflates=True) == (type.value, body)


def test_a_message_is_compressed_by_itself() -> None:
    first = Frames(MessageType.TEXT, LONG, 1).deflated()
    again = Frames(MessageType.TEXT, LONG, 1).deflated()
    assert first == again
    assert len(first) < len(LONG) / 10


@pytest.mark.parametrize(("compress_from", "compressed"), [(1600, True), (1601, False)])
def test_it_is_compressed_from_a_size_up(compress_from: int, compressed: bool) -> None:
    frames = Frames(MessageType.TEXT, LONG, compress_from)
    assert (frames.deflated() != frames.plain) is compressed


def test_it_is_not_compressed_where_that_is_off_or_does_not_pay() -> None:
    noise = zlib.compress(bytes(range(256)) * 20)
    for frames in (
        Frames(MessageType.TEXT, LONG, None),
        Frames(MessageType.BINARY, noise, 1),
        Frames(MessageType.BINARY, b"", 1),
        Frames(MessageType.BINARY, bytes(LARGEST + 1), 1),
    ):
        assert frames.deflated() is frames.plain


def test_it_is_compressed_once_and_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    class Counting(PerMessageDeflate):
        def encode(self, frame: Frame) -> Frame:
            made.append(bytes(frame.data))
            return super().encode(frame)

    monkeypatch.setattr("dsock.worker.frames.PerMessageDeflate", Counting)
    frames = Frames(MessageType.TEXT, LONG, 1)
    assert made == []
    assert len({frames.deflated() for _ in range(5)}) == 1
    assert made == [LONG]
