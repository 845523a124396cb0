"""What users, sessions, channels and ids may be called."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dsock.errors import (
    DsockError,
    InvalidChannel,
    InvalidClaimId,
    InvalidConnectionId,
    InvalidSession,
    InvalidUser,
)

MAX_NAME_BYTES = 255

# C0, DEL and C1 controls; and what cannot be UTF-8: lone surrogates.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CLAIM_ID = re.compile(r"[A-Za-z0-9\-._~]{8,128}")


def _name(text: str, error: type[DsockError]) -> str:
    if not text or _FORBIDDEN.search(text) or len(text.encode()) > MAX_NAME_BYTES:
        raise error
    return text


def user_name(text: str) -> str:
    """`text`, if it may name a user. Raises `InvalidUser`."""
    return _name(text, InvalidUser)


def session_name(text: str) -> str:
    """`text`, if it may name a session. Raises `InvalidSession`."""
    return _name(text, InvalidSession)


def connection_id(text: str) -> str:
    """`text`, if it may be asked for as a connection id. Raises `InvalidConnectionId`."""
    return _name(text, InvalidConnectionId)


def channel_name(text: str) -> str:
    """`text`, if it may name a channel. Raises `InvalidChannel`.

    A comma separates channels wherever several are written in one string, so no channel
    has one in its name.
    """
    if "," in text:
        raise InvalidChannel
    return _name(text, InvalidChannel)


def channel_list(text: str) -> tuple[str, ...]:
    """The channels of a comma-delimited string, in order, without doubles or empty items.

    Raises `InvalidChannel`.
    """
    return merged(channel_name(name) for name in text.split(",") if name)


def merged(*groups: Iterable[str]) -> tuple[str, ...]:
    """All names of all groups in order, each once."""
    names: dict[str, None] = {}
    for group in groups:
        names.update(dict.fromkeys(group))
    return tuple(names)


def claim_id(text: str) -> str:
    """`text`, if a caller may choose it as a claim id. Raises `InvalidClaimId`."""
    if not _CLAIM_ID.fullmatch(text):
        raise InvalidClaimId
    return text
