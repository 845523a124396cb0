"""Calls of the back end: of every verb, to targets of every kind, at a given rate."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

from bench.generator.calls import Caller
from tests.soak.guests import Guests, Names
from tests.support.cluster import TOKEN
from tests.support.wire import request

IN_FLIGHT = 16

_BODIES = [b"x" * 64, b"x" * 512, b'{"text": "the same again"}' * 80]

LARGE_EVERY, LOGOUT_EVERY = 0.2, 0.5
"""Seconds between two messages to those who are slow, and two logouts, however fast or slowly the
others follow."""

_LARGE = bytes(2**19)
"""More than a few of these no system takes for who does not read."""


class Calls:
    """What is asked, made up as it is needed."""

    def __init__(self, guests: Guests, round: int) -> None:
        self._guests = guests
        self._chance = random.Random(round)
        self._names = Names(round, self._chance)
        self._stop = threading.Event()
        self._large_due = self._logout_due = 0.0

    def stop(self) -> None:
        self._stop.set()

    def without_end(self) -> Iterator[bytes]:
        while not self._stop.is_set():
            yield self._one()

    def at_rate(self, rate: float) -> Iterator[bytes]:
        """So many in a second; when late, not more than for a second at once."""
        due = time.monotonic()
        for asked in self.without_end():
            now = time.monotonic()
            due = max(due + 1 / rate, now - 1)
            if due > now:
                self._stop.wait(due - now)
            yield asked

    def _one(self) -> bytes:
        now = time.monotonic()
        if now >= self._large_due:
            self._large_due = now + LARGE_EVERY
            return self._post(f"/send?user={self._names.slow()}&type=binary", _LARGE)
        if now >= self._logout_due:
            self._logout_due = now + LOGOUT_EVERY
            return self._post(f"/disconnect?user={self._names.user()}&session=s")
        kind = self._chance.random()
        target = self._target()
        if kind < 0.03:
            return self._post(f"/channel/subscribe/{self._names.room()}?{target}")
        if kind < 0.06:
            return self._post(f"/channel/unsubscribe/{self._names.room()}?{target}")
        return self._post(f"/send?{target}&type=text", self._chance.choice(_BODIES))

    def _target(self) -> str:
        kind = self._chance.random()
        if kind < 0.2:
            return f"channel={self._names.room()}"
        if kind < 0.4 and self._guests.ids:
            return f"id={self._chance.choice(self._guests.ids)}"
        user = f"user={self._names.user()}"
        return user if kind < 0.7 else f"{user}&session=s"

    @staticmethod
    def _post(path: str, body: bytes = b"") -> bytes:
        return request("POST", path, body, authorization=f"Bearer {TOKEN}")


def capacity(calls: Calls, port: int, seconds: float) -> float:
    """Calls that are answered in a second when each is followed by the next."""
    with Caller(port, IN_FLIGHT) as caller:
        start = time.perf_counter()
        answered = caller.run(calls.without_end(), seconds)
        return answered / (time.perf_counter() - start)


def call(calls: Calls, port: int, rate: float, seconds: float) -> int:
    """Call at this rate for so long; returns how many were answered."""
    with Caller(port, IN_FLIGHT) as caller:
        return caller.run(calls.at_rate(rate), seconds)
