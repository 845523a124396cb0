"""Large messages, and users with very many connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import repeat

from bench.brokers import Place
from bench.effort import Bench
from bench.figures import Figure, interleaved
from bench.floors import floor
from bench.generator.calls import Caller
from bench.generator.dial import dial, open_until_left, plain
from bench.generator.receivers import Receivers
from bench.generator.requests import frame_size, post, upgrade_as
from bench.generator.sends import TightLoop, sends
from bench.shapes.channel import FLOOR

CONNECTIONS = 5000
"""Of the user who has very many."""

LIMIT = "64MiB"
"""Of what may wait for a client: all of them are read by one thread, which may be late."""


def messages(bench: Bench, place: Place) -> Iterator[Figure]:
    """Deliveries a second of large messages to a channel of 16, one send at a time."""
    for size, name in ((64 * 1024, "64 KiB"), (1024 * 1024, "1 MiB")):
        yield from _fan_out(bench, place, 16, b"x" * size, f"messages of {name} to 16")


def connections(bench: Bench, place: Place) -> Iterator[Figure]:
    """Deliveries a second to one user with very many connections, one send at a time."""
    count = min(CONNECTIONS, bench.effort.crowd)
    yield from _fan_out(bench, place, count, b"x" * 128, f"a user with {count:,} connections")


def _fan_out(bench: Bench, place: Place, count: int, body: bytes, shape: str) -> Iterator[Figure]:
    effort, size = bench.effort, frame_size(len(body))
    # A megabyte has to be read as it comes, or the client would be too slow.
    prompt = len(body) > 1024
    with ExitStack() as stack:
        broker = stack.enter_context(bench.brokers.started(place, send_buffer_limit=LIMIT))
        floor_server = stack.enter_context(floor("sends"))
        heads = [upgrade_as("1")] * count
        clients = stack.enter_context(open_until_left(dial(broker.worker, heads)))
        bare = stack.enter_context(open_until_left(plain(floor_server[1], count)))
        tight = stack.enter_context(TightLoop(floor_server))
        report = b'"connections":%d,"dropped":0,"unanswered":0' % count
        caller = stack.enter_context(Caller(broker.api, 1, report))
        readers, bare_readers = Receivers(clients, prompt), Receivers(bare, prompt)
        taken = interleaved(
            effort.rounds,
            {
                "floor": lambda: tight.sends(effort.seconds, bare_readers, size),
                "sends": lambda: sends(
                    broker,
                    caller,
                    repeat(post("/send?user=1&type=text", body)),
                    effort.seconds,
                    readers,
                    copies=count,
                    size=size,
                ),
            },
        )
    yield Figure(
        shape=shape,
        place=place.value,
        name="one send at a time",
        unit="deliveries/s",
        samples=taken["sends"],
        floor=FLOOR,
        floor_samples=taken["floor"],
        note=f"{sum(one.value for one in taken['sends']) / effort.rounds * size / 1e6:,.0f} MB/s",
    )
