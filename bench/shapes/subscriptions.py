"""Channels change: subscribe and unsubscribe, and connections with many channels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice, repeat

from bench.brokers import Place
from bench.effort import Bench
from bench.figures import Figure, Sample, interleaved
from bench.floors import floor
from bench.generator.calls import Caller
from bench.generator.dial import dial, open_until_left
from bench.generator.meter import metered
from bench.generator.receivers import Receivers
from bench.generator.requests import frame_size, post, upgrade_as
from bench.generator.sends import BODY, sends
from bench.shapes.users import FLOOR, REPORT

IN_FLIGHT = 16
MEMBERS = 1000
MANY = 2000
"""Channels of one connection."""


def subscribe(bench: Bench, place: Place) -> Iterator[Figure]:
    """Calls a second, each of which puts one user with one connection into a channel, or takes
    them out again, and is answered when it counts everywhere."""
    effort = bench.effort
    users = [f"user-{number}" for number in range(MEMBERS)]
    calls = {
        verb: cycle([post(f"/channel/{verb}/news?user={user}") for user in users])
        for verb in ("subscribe", "unsubscribe")
    }
    with ExitStack() as stack:
        broker = stack.enter_context(bench.brokers.started(place))
        floor_pid, floor_port = stack.enter_context(floor("noop"))
        heads = [upgrade_as(user) for user in users]
        stack.enter_context(open_until_left(dial(broker.worker, heads)))
        caller = stack.enter_context(Caller(broker.api, IN_FLIGHT, REPORT))
        nothing = stack.enter_context(Caller(floor_port, IN_FLIGHT, b"ok"))

        def move(verb: str) -> Sample:
            # Each user once: to subscribe whoever is subscribed is less work.
            once = islice(calls[verb], MEMBERS)
            return metered(lambda: caller.run(once, float("inf")), broker.pids, broker.redis)

        taken = interleaved(
            effort.rounds,
            {
                "floor": lambda: metered(
                    lambda: nothing.run(repeat(post("/", BODY)), effort.seconds), [floor_pid]
                ),
                **{verb: partial(move, verb) for verb in calls},
            },
        )
    for verb in calls:
        yield Figure(
            shape="subscriptions",
            place=place.value,
            name=f"{verb}, {IN_FLIGHT} in flight",
            unit="calls/s",
            samples=taken[verb],
            floor=FLOOR,
            floor_samples=taken["floor"],
        )


def many_channels(bench: Bench, place: Place) -> Iterator[Figure]:
    """Sends a second to one user who is in very many channels, and calls a second that put this
    user into one more and out of it again."""
    effort, size = bench.effort, frame_size(len(BODY))
    with ExitStack() as stack:
        broker = stack.enter_context(bench.brokers.started(place))
        floor_pid, floor_port = stack.enter_context(floor("noop"))
        clients = stack.enter_context(open_until_left(dial(broker.worker, [upgrade_as("1")])))
        caller = stack.enter_context(Caller(broker.api, IN_FLIGHT, REPORT))
        nothing = stack.enter_context(Caller(floor_port, IN_FLIGHT, b"ok"))
        joins = (post(f"/channel/subscribe/channel-{number}?user=1") for number in range(MANY))
        caller.run(joins, float("inf"))
        moves = cycle(
            [post(f"/channel/{verb}/more?user=1") for verb in ("subscribe", "unsubscribe")]
        )
        receivers = Receivers(clients)
        taken = interleaved(
            effort.rounds,
            {
                "floor": lambda: metered(
                    lambda: nothing.run(repeat(post("/", BODY)), effort.seconds), [floor_pid]
                ),
                "sends": lambda: sends(
                    broker,
                    caller,
                    repeat(post("/send?user=1&type=text", BODY)),
                    effort.seconds,
                    receivers,
                    copies=1,
                    size=size,
                ),
                "moves": lambda: metered(
                    lambda: caller.run(moves, effort.seconds), broker.pids, broker.redis
                ),
            },
        )
    for name, what, unit in (
        ("sends", f"{IN_FLIGHT} sends in flight to that user", "sends/s"),
        ("moves", f"subscribe and unsubscribe, {IN_FLIGHT} in flight", "calls/s"),
    ):
        yield Figure(
            shape=f"{MANY:,} channels per connection",
            place=place.value,
            name=what,
            unit=unit,
            samples=taken[name],
            floor=FLOOR,
            floor_samples=taken["floor"],
        )
