"""The records that the whole cluster can read, and that `/info` shows."""

from __future__ import annotations

from typing import NamedTuple

from dsock.claim import Claim


class Presence(NamedTuple):
    """An open connection as others see it. `last_ping` is in whole seconds from epoch, or
    None when the record cannot be read."""

    id: str
    worker: str
    user: str
    session: str | None
    channels: tuple[str, ...]
    last_ping: int | None


class Info(NamedTuple):
    """What there is of a target."""

    connections: list[Presence]
    claims: list[Claim]
