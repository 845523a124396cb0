"""The wire: what is written can be read, by us and by a Go dSock, and nothing else can."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock.command import Command, Disconnect, MessageType, Send, Subscribe, Unsubscribe
from dsock.errors import ErrorMarshallingMessage
from dsock.report import Outcome
from dsock.target import Target, ToChannel, ToConnection, ToUser
from dsock.wire.codec import (
    Answers,
    Letter,
    Probe,
    Unreadable,
    decode_answers,
    decode_channel_action,
    decode_letters,
    decode_message,
    encode,
    encode_answers,
    encode_letters,
    encode_probe,
    in_sequence,
    is_channel_action,
)

READERS: list[Callable[[bytes], object]] = [decode_message, decode_channel_action, decode_answers]

texts = st.text(st.characters(codec="utf-8", exclude_characters=","), min_size=1)
targets = st.one_of(
    st.builds(ToConnection, texts),
    st.builds(ToUser, texts, st.none() | texts),
    st.builds(ToChannel, texts),
)
messages = st.one_of(
    st.builds(Send, targets, st.just(MessageType.TEXT), st.text().map(str.encode)),
    st.builds(Send, targets, st.just(MessageType.BINARY), st.binary()),
    st.builds(Disconnect, targets),
)
channels = st.text(
    st.characters(codec="utf-8", exclude_characters=",", exclude_categories=["Cc"]),
    min_size=1,
    max_size=60,
)
actions = st.builds(Subscribe, targets, channels) | st.builds(Unsubscribe, targets, channels)


def letters(commands: st.SearchStrategy[Command]) -> st.SearchStrategy[Letter]:
    reply_to = st.text(st.characters(codec="utf-8"))
    return st.builds(Letter, commands, reply_to, st.integers(0, 2**64 - 1), st.just(""), st.just(0))


answers = st.builds(
    Answers,
    texts,
    st.lists(
        st.tuples(
            st.integers(0, 2**64 - 1),
            st.builds(Outcome, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
        )
    ),
    st.lists(st.integers(0, 2**64 - 1)).map(tuple),
)


@given(letters(messages))
def test_a_message_is_read_as_it_was_written(letter: Letter) -> None:
    assert not is_channel_action(letter.command)
    assert decode_message(encode(letter)) == letter


@given(letters(actions))
def test_a_channel_action_is_read_as_it_was_written(letter: Letter) -> None:
    assert is_channel_action(letter.command)
    assert decode_channel_action(encode(letter)) == letter


@given(answers)
def test_answers_are_read_as_they_were_written(written: Answers) -> None:
    assert decode_answers(encode_answers(written)) == written


@pytest.mark.parametrize("read", [decode_message, decode_answers])
@given(text=texts)
def test_a_probe_is_read_in_every_mailbox(read: Callable[[bytes], object], text: str) -> None:
    assert read(encode_probe(text)) == Probe(text)


# --- the bytes of a Go dSock ---------------------------------------------------------

TO_USER = b"\x12\x01u"
MESSAGES: list[tuple[bytes, Command]] = [
    (b"\x1a\x03\x0a\x01i", Disconnect(ToConnection("i"))),
    (b"\x1a\x03" + TO_USER, Disconnect(ToUser("u"))),
    (b"\x1a\x06\x12\x01u\x1a\x01s", Disconnect(ToUser("u", "s"))),
    (b"\x1a\x03\x22\x01c", Disconnect(ToChannel("c"))),
    (b"\x08\x01\x12\x02hi\x1a\x03" + TO_USER, Send(ToUser("u"), MessageType.TEXT, b"hi")),
    (b"\x08\x02\x12\x01\xff\x1a\x03" + TO_USER, Send(ToUser("u"), MessageType.BINARY, b"\xff")),
    (b"\x08\x01\x1a\x03" + TO_USER, Send(ToUser("u"), MessageType.TEXT, b"")),
]
ACTIONS: list[tuple[bytes, Command]] = [
    (b"\x0a\x01c\x12\x03" + TO_USER, Subscribe(ToUser("u"), "c")),
    (b"\x0a\x01c\x12\x03" + TO_USER + b"\x18\x01", Unsubscribe(ToUser("u"), "c")),
    (b"\x0a\x01c\x12\x03\x22\x01d", Subscribe(ToChannel("d"), "c")),
]


@pytest.mark.parametrize(("payload", "command"), MESSAGES)
def test_a_message_of_a_go_api_is_read(payload: bytes, command: Command) -> None:
    assert decode_message(payload) == Letter(command, "", 0)


@pytest.mark.parametrize(("payload", "command"), ACTIONS)
def test_a_channel_action_of_a_go_api_is_read(payload: bytes, command: Command) -> None:
    assert decode_channel_action(payload) == Letter(command, "", 0)


@pytest.mark.parametrize(("payload", "command"), MESSAGES + ACTIONS)
def test_a_command_without_return_address_is_written_in_the_documented_fields(
    payload: bytes, command: Command
) -> None:
    assert encode(Letter(command)) == payload


@pytest.mark.parametrize("command", [MESSAGES[0][1], ACTIONS[0][1]])
def test_our_own_fields_have_the_numbers_that_go_ignores(command: Command) -> None:
    payload = encode(Letter(command, "r", 5))
    assert payload == encode(Letter(command)) + b"\x7a\x01r" + b"\x80\x01\x05"


def test_a_probe_is_field_19_alone() -> None:
    assert encode_probe("p") == b"\x9a\x01\x01p"


@pytest.mark.parametrize(
    ("selectors", "target"),
    [
        (b"\x0a\x01i\x12\x01u\x1a\x01s\x22\x01c", ToConnection("i")),
        (b"\x12\x01u\x1a\x01s\x22\x01c", ToChannel("c")),
        (b"\x1a\x01s\x22\x01c", ToChannel("c")),
        (b"\x0a\x01i\x22\x01c", ToConnection("i")),
        (b"\x0a\x01i\x12\x01u", ToConnection("i")),
        (b"\x0a\x00\x22\x00\x12\x01u\x1a\x00", ToUser("u")),
    ],
)
def test_b39_of_several_selectors_the_precedence_is_id_channel_user(
    selectors: bytes, target: Target
) -> None:
    payload = b"\x1a" + bytes([len(selectors)]) + selectors
    assert decode_message(payload) == Letter(Disconnect(target))


def test_fields_that_we_do_not_know_are_ignored() -> None:
    payload = MESSAGES[1][0] + b"\xa2\x06\x01x"
    assert decode_message(payload) == Letter(MESSAGES[1][1])


@pytest.mark.parametrize("command", [MESSAGES[1][1], ACTIONS[0][1]])
def test_a_letter_says_whose_it_is(command: Command) -> None:
    letter = Letter(command, "r", 5, publisher="p")
    payload = encode(letter)
    decode = decode_channel_action if is_channel_action(command) else decode_message
    assert payload == encode(Letter(command, "r", 5)) + b"\x8a\x01\x01p"
    assert decode(payload) == letter


@pytest.mark.parametrize("command", [MESSAGES[1][1], ACTIONS[0][1]])
def test_a_letter_says_which_one_it_is_in_its_mailbox(command: Command) -> None:
    payload = in_sequence(encode(Letter(command)), 7)
    decode = decode_channel_action if is_channel_action(command) else decode_message
    assert payload == encode(Letter(command)) + b"\x90\x01\x07"
    assert decode(payload) == Letter(command, sequence=7)


def test_several_letters_for_one_worker_keep_their_order() -> None:
    commands = [command for _, command in [*MESSAGES, *ACTIONS, *MESSAGES]]
    letters = [Letter(command, "r", number, "p") for number, command in enumerate(commands)]
    body = encode_letters("w", [(encode(one), is_channel_action(one.command)) for one in letters])
    assert decode_letters(body) == ("w", letters)


def test_a_letter_that_cannot_be_read_does_not_spoil_the_others() -> None:
    good = encode(Letter(MESSAGES[0][1]))
    bodies = [
        (good, False),
        (b"", False),
        (b"\xff", True),
        (encode_probe("x"), False),
        (good, False),
    ]
    _, letters = decode_letters(encode_letters("w", bodies))
    assert letters == [Letter(MESSAGES[0][1]), None, None, None, Letter(MESSAGES[0][1])]


@pytest.mark.parametrize("body", [b"", b"\xff", encode_letters("w", []), b"\x12\x02\x0a\x00"])
def test_a_body_without_a_worker_or_without_letters_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_letters(body)


def test_a_publisher_has_a_short_name() -> None:
    with pytest.raises(Unreadable):
        decode_message(encode(Letter(MESSAGES[1][1], "r", 1, "p" * 65)))


@pytest.mark.parametrize(
    "command", [Disconnect(ToUser("\ud800")), Subscribe(ToUser("u"), "\ud800")]
)
def test_what_protobuf_cannot_encode_is_an_error_of_its_own(command: Command) -> None:
    with pytest.raises(ErrorMarshallingMessage):
        encode(Letter(command))


# --- what nobody wrote ---------------------------------------------------------------


@pytest.mark.parametrize("read", READERS)
def test_b30_an_empty_payload_is_unreadable(read: Callable[[bytes], object]) -> None:
    with pytest.raises(Unreadable):
        read(b"")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x08\x01\x12\x02hi", id="no target"),
        pytest.param(b"\x08\x01\x12\x02hi\x1a\x00", id="empty target"),
        pytest.param(b"\x1a\x03\x1a\x01s", id="session alone"),
        pytest.param(b"\x08\x07\x1a\x03" + TO_USER, id="type 7"),
        pytest.param(
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x03" + TO_USER, id="type -1"
        ),
        pytest.param(b"\x1a\x03\x12\x01\xff", id="user not UTF-8"),
        pytest.param(b"\x1a\x09" + TO_USER, id="truncated"),
        pytest.param(b"\x0b" * 1000, id="groups in groups"),
        pytest.param(b"\x00", id="field 0"),
    ],
)
def test_b30_a_message_to_nobody_or_of_no_kind_is_unreadable(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_message(payload)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x0a\x01c", id="no target"),
        pytest.param(b"\x12\x03" + TO_USER, id="no channel"),
        pytest.param(b"\x0a\x01\x07\x12\x03" + TO_USER, id="channel with a control"),
        pytest.param(b"\x0a\x03a,b\x12\x03" + TO_USER, id="comma"),
        pytest.param(b"\x0a\x01c\x12\x03" + TO_USER + b"\x18\x02", id="type 2"),
        pytest.param(b"\x0a\x01\xff\x12\x03" + TO_USER, id="channel not UTF-8"),
    ],
)
def test_b30_a_channel_action_that_says_too_little_is_unreadable(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_channel_action(payload)


def test_b75_a_text_that_is_not_utf8_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        decode_message(b"\x08\x01\x12\x01\xff\x1a\x03" + TO_USER)


def test_answers_of_no_worker_are_unreadable() -> None:
    with pytest.raises(Unreadable):
        decode_answers(encode_answers(Answers("", [(1, Outcome(1))])))


def is_harmless(read: Callable[[bytes], object], payload: bytes) -> bool:
    try:
        return isinstance(read(payload), Letter | Probe | Answers)
    except Unreadable:
        return True


@pytest.mark.parametrize("read", READERS)
@given(payload=st.binary())
def test_b30_random_bytes_are_a_command_or_unreadable(
    read: Callable[[bytes], object], payload: bytes
) -> None:
    assert is_harmless(read, payload)


@pytest.mark.parametrize("read", READERS)
@given(letter=letters(st.one_of(messages, actions)), data=st.data())
def test_b30_a_truncated_payload_is_a_command_or_unreadable(
    read: Callable[[bytes], object], letter: Letter, data: st.DataObject
) -> None:
    payload = encode(letter)
    assert is_harmless(read, payload[: data.draw(st.integers(0, len(payload)))])
