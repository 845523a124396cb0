"""The one timer: how it spreads its pings."""

from __future__ import annotations

import pytest

from dsock.worker.pulse import Pulse


@pytest.mark.parametrize("interval", [0.1, 1.0, 8.0, 8.9, 8.99, 9.5, 17.9, 60.0])
async def test_b15_the_wheel_turns_once_in_the_interval(interval: float) -> None:
    pulse = Pulse([], ping_interval=interval, ping_timeout=20.0, send_timeout=10.0)
    assert len(pulse._slots) * pulse._tick == pytest.approx(interval)
