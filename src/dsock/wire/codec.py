"""Commands and answers as bytes, by `message.proto`.

Reading never raises anything but `Unreadable`: whatever arrives in a mailbox, a worker
lives on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError, EncodeError

from dsock import names
from dsock.command import Command, Disconnect, MessageType, Send, Subscribe, Unsubscribe
from dsock.errors import DsockError, ErrorMarshallingMessage
from dsock.report import Outcome
from dsock.target import Target, ToChannel, ToConnection, ToUser
from dsock.wire import message_pb2 as pb

MAX_PUBLISHER = 64
"""Characters of a publisher's name."""


class Unreadable(Exception):
    """No command can be read from these bytes."""


class Letter(NamedTuple):
    """A command with its return address; without `reply_to` nobody waits for an answer.

    `number` names it in the answer. An API signs as `publisher` and counts `number` up,
    however the letter travels: one with a lower number than one before comes too late.
    `sequence` counts what that API has published to the mailbox in which the letter is, from
    1; it is 0 when the API is set to direct messaging.
    """

    command: Command
    reply_to: str = ""
    number: int = 0
    publisher: str = ""
    sequence: int = 0


class Probe(NamedTuple):
    """What a node sends to itself to prove that it hears."""

    text: str


class Answers(NamedTuple):
    """What one worker answers, by command number; `late` are those that came too late."""

    worker: str
    outcomes: Sequence[tuple[int, Outcome]]
    late: Sequence[int] = ()


def encode(letter: Letter) -> bytes:
    """A command's bytes, for the channel that `is_channel_action` says. Raises
    `ErrorMarshallingMessage`: protobuf ends at 2 GiB."""
    try:
        return _encode(letter)
    except (ValueError, EncodeError) as error:
        raise ErrorMarshallingMessage from error


def _encode(letter: Letter) -> bytes:
    command = letter.command
    target = _encode_target(command.target)
    message: pb.Message | pb.ChannelAction
    if isinstance(command, Subscribe | Unsubscribe):
        action = pb.ChannelAction.Type
        message = pb.ChannelAction(
            channel=command.channel,
            target=target,
            type=action.SUBSCRIBE if isinstance(command, Subscribe) else action.UNSUBSCRIBE,
        )
    elif isinstance(command, Disconnect):
        message = pb.Message(type=pb.Message.DISCONNECT, target=target)
    else:
        # The proto's numbers of TEXT and BINARY are those of the WebSocket opcodes.
        message = pb.Message(
            type=pb.Message.Type.ValueType(command.type.value), body=command.body, target=target
        )
    message.reply_to = letter.reply_to
    message.command = letter.number
    message.publisher = letter.publisher
    return message.SerializeToString()


def in_sequence(payload: bytes, sequence: int) -> bytes:
    """What `encode` made of a letter, for one mailbox: the one field that differs between
    mailboxes is written behind the others."""
    return payload + pb.Message(sequence=sequence).SerializeToString()


def is_channel_action(command: Command) -> bool:
    """Whether a command goes over a worker's second channel."""
    return isinstance(command, Subscribe | Unsubscribe)


def decode_message(payload: bytes) -> Letter | Probe:
    """What arrived on a worker's channel. Raises `Unreadable`."""
    message = pb.Message()
    _parse(message, payload)
    if message.probe:
        return Probe(message.probe)
    target = _decode_target(message)
    command: Command
    if message.type == pb.Message.DISCONNECT:
        command = Disconnect(target)
    elif message.type in (pb.Message.TEXT, pb.Message.BINARY):
        command = Send(target, MessageType(message.type), message.body)
        if command.type is MessageType.TEXT:
            _require_utf8(command.body)
    else:
        raise Unreadable
    return _letter(command, message)


def decode_channel_action(payload: bytes) -> Letter:
    """What arrived on a worker's second channel. Raises `Unreadable`."""
    action = pb.ChannelAction()
    _parse(action, payload)
    target = _decode_target(action)
    try:
        names.channel_name(action.channel)
    except DsockError:
        raise Unreadable from None
    command: Command
    if action.type == pb.ChannelAction.SUBSCRIBE:
        command = Subscribe(target, action.channel)
    elif action.type == pb.ChannelAction.UNSUBSCRIBE:
        command = Unsubscribe(target, action.channel)
    else:
        raise Unreadable
    return _letter(command, action)


def _letter(command: Command, said: pb.Message | pb.ChannelAction) -> Letter:
    if len(said.publisher) > MAX_PUBLISHER:
        raise Unreadable
    return Letter(command, said.reply_to, said.command, said.publisher, said.sequence)


def encode_letters(worker: str, letters: Iterable[tuple[bytes, bool]]) -> bytes:
    """Several letters for one worker as one body: of each what `encode` made of it, and
    whether it `is_channel_action`."""
    return pb.Letters(
        worker=worker,
        letters=[
            pb.Letter(action=payload) if action else pb.Letter(message=payload)
            for payload, action in letters
        ],
    ).SerializeToString()


def decode_letters(body: bytes) -> tuple[str, list[Letter | None]]:
    """For which worker a body is, and its letters in order: None for one that cannot be
    read. Raises `Unreadable` when nothing can."""
    said = pb.Letters()
    _parse(said, body)
    if not said.worker or not said.letters:
        raise Unreadable
    return said.worker, [_enclosed(one) for one in said.letters]


def _enclosed(one: pb.Letter) -> Letter | None:
    try:
        mail = (
            decode_channel_action(one.action)
            if one.WhichOneof("kind") == "action"
            else decode_message(one.message)
        )
    except Unreadable:
        return None
    return mail if isinstance(mail, Letter) else None


def encode_probe(text: str) -> bytes:
    """A probe's bytes, for any mailbox: both kinds keep it in the same field."""
    return pb.Message(probe=text).SerializeToString()


def encode_answers(answers: Answers) -> bytes:
    """Answers as bytes."""
    return pb.Answers(
        worker=answers.worker, answers=_encode_outcomes(answers), late=answers.late
    ).SerializeToString()


def decode_answers(payload: bytes) -> Answers | Probe:
    """What arrived on an API node's reply channel. Raises `Unreadable`."""
    message = pb.Answers()
    _parse(message, payload)
    if message.probe:
        return Probe(message.probe)
    if not message.worker:
        raise Unreadable
    return Answers(
        message.worker,
        [(a.command, Outcome(a.connections, a.dropped)) for a in message.answers],
        tuple(message.late),
    )


def _encode_outcomes(answers: Answers) -> Iterable[pb.Answer]:
    for number, outcome in answers.outcomes:
        yield pb.Answer(command=number, connections=outcome.connections, dropped=outcome.dropped)


def _parse(
    message: pb.Message | pb.ChannelAction | pb.Answers | pb.Letters, payload: bytes
) -> None:
    try:
        message.ParseFromString(payload)
    except DecodeError:
        raise Unreadable from None


def _require_utf8(body: bytes) -> None:
    # A Go API does not look; a client that is sent such a frame would have to leave.
    try:
        body.decode()
    except UnicodeDecodeError:
        raise Unreadable from None


def _encode_target(target: Target) -> pb.Target:
    if isinstance(target, ToConnection):
        return pb.Target(connection=target.id)
    if isinstance(target, ToChannel):
        return pb.Target(channel=target.channel)
    return pb.Target(user=target.user, session=target.session or "")


def _decode_target(message: pb.Message | pb.ChannelAction) -> Target:
    # A Go API writes every selector that it was given: precedence applies here too.
    target = message.target
    if target.connection:
        return ToConnection(target.connection)
    if target.channel:
        return ToChannel(target.channel)
    if target.user:
        return ToUser(target.user, target.session or None)
    raise Unreadable
