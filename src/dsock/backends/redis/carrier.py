"""How letters get to workers: one carrier for each `messaging_method`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from dsock.backends.redis.calls import Calls
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.sequences import PublishedLetters
from dsock.report import Outcome
from dsock.wire.codec import Letter, encode, in_sequence, is_channel_action


class Silent(Exception):
    """A worker has not said that it took a letter: it may have it or not."""


class Carrier(Protocol):
    """Brings letters to workers, those to one worker in the order of the calls, each at
    most once."""

    def carry(self, workers: Iterable[str], letter: Letter) -> list[asyncio.Future[int]]:
        """Begin to bring a letter to each of these. A future is above 0 once the worker has
        it, or, if it has no return address, once it is on its way; and 0 when nobody is
        there to take it. It raises `Silent`, or `Unavailable` when Redis is in the way."""

    async def close(self) -> None:
        """Bring nothing more."""


Answered = Callable[[str, int, Outcome], None]
"""Takes a worker, the number of a command, and its outcome."""

NewCarrier = Callable[[Answered], Carrier]
"""Makes a carrier. What workers answer it directly goes to the argument."""


class Mailboxes:
    """The carrier of `messaging_method=redis`: every worker listens on its own channels.
    `counts`: letters say how many there were before them, so that a gap is seen."""

    def __init__(self, pipe: Calls, keys: Keys, *, counts: bool) -> None:
        self._pipe = pipe
        self._keys = keys
        self._published = PublishedLetters() if counts else None

    def carry(self, workers: Iterable[str], letter: Letter) -> list[asyncio.Future[int]]:
        payload = encode(letter)
        actions = is_channel_action(letter.command)
        mailbox = self._keys.mailbox_of_actions if actions else self._keys.mailbox
        return [self._pipe.publish(mailbox(id), self._for(id, payload)) for id in workers]

    def _for(self, id: str, payload: bytes) -> bytes:
        return in_sequence(payload, self._published.next(id)) if self._published else payload

    async def close(self) -> None: ...
