"""Letting clients in."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from bench.brokers import Place
from bench.effort import Bench
from bench.figures import Figure, Sample, Wanted, interleaved
from bench.floors import floor
from bench.generator.calls import Caller
from bench.generator.dial import AT_A_TIME, dial, hang_up
from bench.generator.meter import metered
from bench.generator.requests import post, upgrade, upgrade_as

FLOOR = "accept and upgrade"


def connects(bench: Bench, place: Place) -> Iterator[Figure]:
    """Connects a second, from the first `connect()` to the last 101. They are hung up between
    the rounds. Claims are made before, and counted apart."""
    effort = bench.effort
    claims: list[str] = []
    with ExitStack() as stack:
        broker = stack.enter_context(bench.brokers.started(place))
        floor_pid, floor_port = stack.enter_context(floor("upgrades"))
        caller = stack.enter_context(Caller(broker.api, 16, b'"success":true'))

        def connect(port: int, heads: Sequence[bytes], pids: Sequence[int]) -> Sample:
            sockets = []

            def action() -> int:
                sockets.extend(dial(port, heads))
                return len(heads)

            try:
                return metered(action, pids, broker.redis)
            finally:
                hang_up(sockets)

        def make_claims() -> Sample:
            claims[:] = [secrets.token_urlsafe(16) for _ in range(effort.connects)]
            calls = [
                post(f"/claim?user=user-{number}&channels=news&id={id}")
                for number, id in enumerate(claims)
            ]
            forever = float("inf")
            return metered(lambda: caller.run(iter(calls), forever), broker.pids, broker.redis)

        numbers = range(effort.connects)
        taken = interleaved(
            effort.rounds,
            {
                "floor": lambda: connect(floor_port, [upgrade("")] * len(numbers), [floor_pid]),
                "with a JWT": lambda: connect(
                    broker.worker,
                    [upgrade_as(f"user-{number}", ["news"]) for number in numbers],
                    broker.pids,
                ),
                "making the claims": make_claims,
                "with a claim": lambda: connect(
                    broker.worker, [upgrade(f"claim={id}") for id in claims], broker.pids
                ),
            },
        )
    for name in ("with a JWT", "with a claim"):
        promised = place is Place.MEMORY and name == "with a JWT"
        yield Figure(
            shape="connects",
            place=place.value,
            name=name,
            unit="connects/s",
            samples=taken[name],
            floor=FLOOR,
            floor_samples=taken["floor"],
            wanted=Wanted("value", least=6000) if promised else None,
            note=f"{AT_A_TIME} handshakes under way",
        )
    yield Figure(
        shape="connects",
        place=place.value,
        name="making the claims",
        unit="calls/s",
        samples=taken["making the claims"],
        note="POST /claim, 16 in flight",
    )
