"""What may arrive in a mailbox, and what has to become of it."""

from __future__ import annotations

from collections.abc import Callable

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

Mail = Letter | Probe | Answers | tuple[str, list[Letter | None]]

READERS: list[Callable[[bytes], Mail]] = [
    decode_message,
    decode_channel_action,
    decode_answers,
    decode_letters,
]


def require_sound(payload: bytes) -> None:
    """Let every reader read these bytes; fails unless it says that it cannot, or reads
    something that it would read again when we had written it."""
    for read in READERS:
        try:
            mail = read(payload)
        except Unreadable:
            continue
        assert read(_written(mail)) == mail


def _written(mail: Mail) -> bytes:
    if isinstance(mail, Letter):
        return _letter(mail)
    if isinstance(mail, Probe):
        return encode_probe(mail.text)
    if isinstance(mail, Answers):
        return encode_answers(mail)
    worker, letters = mail
    return encode_letters(
        worker,
        [
            (_letter(one), is_channel_action(one.command)) if one else (b"", False)
            for one in letters
        ],
    )


def _letter(letter: Letter) -> bytes:
    return in_sequence(encode(letter), letter.sequence)
