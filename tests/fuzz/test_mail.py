"""What arrives in mailboxes, whole and broken; `tests/wire/test_codec.py` has the plain cases."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dsock.wire.codec import Letter, encode, encode_answers, encode_letters, is_channel_action
from tests.fuzz.mail import READERS, require_sound
from tests.wire.test_codec import actions, answers, letters, messages

any_letters = letters(st.one_of(messages, actions))
bundles = st.lists(any_letters, max_size=3).map(
    lambda some: encode_letters("w", [(encode(o), is_channel_action(o.command)) for o in some])
)
payloads = st.one_of(any_letters.map(encode), answers.map(encode_answers), bundles)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """What was in order, but for some bytes."""
    data = bytearray(draw(payloads))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        data[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    least = number & 0x7F
    return bytes([least]) if number < 0x80 else bytes([least | 0x80]) + varint(number >> 7)


numbers = st.integers(20, 2**29 - 1)
fields = st.one_of(
    st.builds(lambda at, n: varint(at << 3) + varint(n), numbers, st.integers(0, 2**64 - 1)),
    st.builds(lambda at, b: varint(at << 3 | 1) + b, numbers, st.binary(min_size=8, max_size=8)),
    st.builds(lambda at, b: varint(at << 3 | 2) + varint(len(b)) + b, numbers, st.binary()),
    st.builds(lambda at, b: varint(at << 3 | 5) + b, numbers, st.binary(min_size=4, max_size=4)),
)
"""Those that a later version may send."""


@settings(max_examples=500)
@given(spoilt() | payloads | st.binary())
def test_whatever_arrives_is_unreadable_or_can_be_written_again(payload: bytes) -> None:
    require_sound(payload)


@given(any_letters, st.lists(fields, min_size=1, max_size=3))
def test_fields_of_a_later_version_change_nothing(letter: Letter, later: list[bytes]) -> None:
    read = READERS[is_channel_action(letter.command)]
    payload = encode(letter)
    assert read(payload + b"".join(later)) == read(b"".join(later) + payload) == letter


@given(st.lists(any_letters, min_size=1, max_size=3), fields)
def test_fields_of_a_later_version_change_no_bundle(some: list[Letter], later: bytes) -> None:
    # Also in a bundle, and in the letters in it.
    said = [(encode(one) + later, is_channel_action(one.command)) for one in some]
    assert READERS[3](encode_letters("w", said) + later) == ("w", some)
