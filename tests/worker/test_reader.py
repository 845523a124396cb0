"""How much of a frame is still to come, at any point of what comes in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsock.worker.reader import FrameReader
from tests.support.wire import BINARY, PING, frame

LIMIT = 2**16

SIZES = st.integers(0, 300) | st.integers(65_000, LIMIT)


@given(st.lists(SIZES, min_size=1, max_size=5), st.lists(st.integers(1, 70_000), max_size=30))
def test_what_is_lacking_is_what_is_to_come_of_the_same_frame(
    sizes: list[int], cuts: list[int]
) -> None:
    frames = [frame(BINARY, bytes(size)) for size in sizes]
    stream = b"".join(frames)
    ends = [sum(map(len, frames[: number + 1])) for number in range(len(frames))]
    reader, at = FrameReader(LIMIT), 0
    for cut in cuts:
        reader.receive_data(stream[at : at + cut])
        at = min(len(stream), at + cut)
        to_come = next(end for end in ends if end >= at) - at
        assert reader.lacking in range(to_come + 1)
    read = len(reader.events_received())
    assert read == sum(end <= at for end in ends)


@given(st.integers(200, LIMIT), st.integers(20, 150))
def test_of_a_payload_that_has_begun_all_that_is_to_come_is_lacking(size: int, come: int) -> None:
    whole = frame(BINARY, bytes(size))
    reader = FrameReader(LIMIT)
    reader.receive_data(whole[:come])
    assert reader.lacking == len(whole) - come


def test_behind_a_frame_that_is_complete_nothing_is_lacking() -> None:
    reader = FrameReader(LIMIT)
    reader.receive_data(frame(BINARY, bytes(60_000)))
    assert reader.lacking == 0
    reader.receive_data(frame(PING)[:1])
    assert reader.lacking < 2
