"""Connections on which nothing happens but pings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.brokers import Place
from bench.effort import Bench
from bench.figures import Figure, Sample, Wanted
from bench.generator.dial import dial, open_until_left
from bench.generator.meter import metered
from bench.generator.pongs import IdleClients
from bench.generator.requests import DEFLATE, upgrade_as
from bench.machine import family, memory, settle

SHORT = 3.0
"""Seconds between two pings where it is only their effect that counts."""

PEER = 25.0
"""Seconds between two pings of Centrifugo, whose idle cost is the yardstick."""


def idle_memory(bench: Bench, place: Place) -> Iterator[Figure]:
    """KB of the server's memory (PSS) for each open connection, over the process at rest, after
    everybody has answered two pings. All offer permessage-deflate. Every round is a new
    server."""
    count = bench.effort.crowd
    heads = [upgrade_as(f"user-{number}", extra=DEFLATE) for number in range(count)]
    samples = tuple(Sample(_memory(bench, place, heads)) for _ in range(bench.effort.rounds))
    yield Figure(
        shape=f"{count:,} idle connections",
        place=place.value,
        name="memory for each",
        unit="KB",
        samples=samples,
        wanted=Wanted("value", most=4.0),
        note="PSS over the process at rest; deflate offered, two rounds of pings answered",
    )


def _memory(bench: Bench, place: Place, heads: Sequence[bytes]) -> float:
    options = {"ping_interval": f"{SHORT:g}s", "ping_timeout": "30s"}
    with bench.brokers.started(place, **options) as broker:
        pids = family([broker.worker_pid])
        settle(pids)
        at_rest = memory(pids)
        with open_until_left(dial(broker.worker, heads)) as sockets:
            clients = IdleClients(sockets)
            clients.answer_until(lambda: min(clients.pings.values()) >= 2, 10 * SHORT + 30)
            return (memory(pids) - at_rest) / len(heads) / 1000


def idle_cpu(bench: Bench, place: Place) -> Iterator[Figure]:
    """Microseconds of the server's CPU for each open connection and second, pings answered."""
    count, window = bench.effort.crowd, bench.effort.window
    heads = [upgrade_as(f"user-{number}", extra=DEFLATE) for number in range(count)]
    samples, at_rest = [], []
    options = {"ping_interval": f"{PEER:g}s", "ping_timeout": "20s"}
    with bench.brokers.started(place, **options) as broker:

        def nobody() -> int:
            IdleClients([]).answer_for(window)
            return 1

        at_rest.append(metered(nobody, [broker.worker_pid]))
        with open_until_left(dial(broker.worker, heads)) as sockets:
            clients = IdleClients(sockets)

            def everybody() -> int:
                clients.answer_for(window)
                return 1

            for _ in range(bench.effort.rounds):
                taken = metered(everybody, [broker.worker_pid])
                assert taken.cpu is not None
                samples.append(Sample(taken.cpu / count / window, generator=taken.generator))
    resting = (at_rest[0].cpu or 0.0) / window / 1e6
    yield Figure(
        shape=f"{count:,} idle connections",
        place=place.value,
        name="CPU for each and second",
        unit="us",
        samples=tuple(samples),
        wanted=Wanted("value", most=5.0),
        note=f"a ping every {PEER:g} s, answered; without clients {resting:.1%} of a core",
    )
