"""The one timer, on a clock that leaps over all waiting: an hour of pings takes no time."""

from __future__ import annotations

import asyncio
import selectors
from itertools import pairwise
from typing import Any

import pytest

from dsock.settings import Settings
from dsock.worker.pulse import Pulse

CLIENTS = 200
HOUR = 3600.0


class Leaping(selectors.DefaultSelector):
    """Where a loop would wait, the time it would have waited is over."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time is that of the selector."""

    def __init__(self) -> None:
        self._leaping = Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now


class Pinged:
    """A client that answers every ping at once, and has nothing waiting."""

    pending = True
    ping_slot = -1
    pinged_at = None

    def __init__(self) -> None:
        self.moments: list[float] = []

    def ping(self, now: float) -> None:
        self.moments.append(now)


async def an_hour_of_pings() -> list[list[float]]:
    """When each client was pinged, with the default settings."""
    settings = Settings()
    clients: Any = [Pinged() for _ in range(CLIENTS)]
    pulse = Pulse(
        clients,
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        send_timeout=settings.send_timeout,
    )
    for client in clients:
        pulse.add(client)
    pulse.start()
    await asyncio.sleep(HOUR)
    pulse.stop()
    return [client.moments for client in clients]


def test_b15_every_client_is_pinged_every_minute() -> None:
    with asyncio.Runner(loop_factory=Clock) as runner:
        pings = runner.run(an_hour_of_pings())
    for moments in pings:
        assert moments[0] <= 61
        assert HOUR - moments[-1] <= 61
        assert all(59 <= later - earlier <= 61 for earlier, later in pairwise(moments))
    # And not all of them at once.
    assert len({moments[0] for moments in pings}) > 10


@pytest.mark.parametrize("interval", [0.1, 1.0, 8.0, 8.9, 8.99, 9.5, 17.9, 60.0])
async def test_b15_the_wheel_turns_once_in_the_interval(interval: float) -> None:
    pulse = Pulse([], ping_interval=interval, ping_timeout=20.0, send_timeout=10.0)
    assert len(pulse._slots) * pulse._tick == pytest.approx(interval)
