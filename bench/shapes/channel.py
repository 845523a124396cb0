"""A channel: every send goes to all its members."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import repeat

from bench.brokers import Place
from bench.effort import Bench
from bench.figures import Figure, Sample, Wanted, interleaved
from bench.floors import floor
from bench.generator.calls import Caller
from bench.generator.dial import dial, open_until_left, plain
from bench.generator.meter import busy_while
from bench.generator.receivers import Receivers
from bench.generator.requests import frame_size, get, post, upgrade_as
from bench.generator.schedule import Open, even
from bench.generator.sends import BODY, TightLoop, sends

FLOOR = "one send() per message"

HELD = 20.0
"""Milliseconds for which a fan-out may hold the loop."""


def small(bench: Bench, place: Place) -> Iterator[Figure]:
    return _channel(bench, place, bench.effort.channel, promised=place is Place.MEMORY)


def large(bench: Bench, place: Place) -> Iterator[Figure]:
    return _channel(bench, place, bench.effort.crowd, promised=False)


def held(bench: Bench, place: Place) -> Iterator[Figure]:
    """Milliseconds for which the loop is held while a large channel is sent to: the longest that
    a `/ping` takes, of 200 a second, with a send at every twentieth. The floor is the same
    without the sends. Nobody reads meanwhile: so little fits into the system's buffers."""
    members, effort = bench.effort.crowd, bench.effort
    heads = [upgrade_as(f"user-{number}", ["news"]) for number in range(members)]
    due = even(200.0, 2 * effort.seconds)
    pings = [get("/ping")] * len(due)
    mixed = list(pings)
    mixed[10::20] = [post("/send?channel=news&type=text", BODY)] * len(mixed[10::20])
    with (
        bench.brokers.started(place) as broker,
        Open(broker.api, 16) as api,
        open_until_left(dial(broker.worker, heads)) as clients,
    ):
        readers = Receivers(clients)

        def longest(requests: list[bytes]) -> Sample:
            readers.empty()
            found, busy = busy_while(lambda: api.follow(requests, due, copies=0))
            took = [found.answered[i] for i, one in enumerate(requests) if one == pings[0]]
            return Sample(max(took) * 1000, generator=busy)

        taken = interleaved(
            effort.rounds,
            {"floor": lambda: longest(pings), "sends": lambda: longest(mixed)},
        )
    yield Figure(
        shape=f"channel of {members:,}",
        place=place.value,
        name="longest /ping while it is sent to",
        unit="ms",
        samples=taken["sends"],
        floor="the same without",
        floor_samples=taken["floor"],
        wanted=Wanted("value", most=HELD),
    )


def _channel(bench: Bench, place: Place, members: int, promised: bool) -> Iterator[Figure]:
    """Deliveries a second: from the first call until the last byte has been read, with the
    report of each call."""
    effort, size = bench.effort, frame_size(len(BODY))
    heads = [upgrade_as(f"user-{number}", ["news"]) for number in range(members)]
    report = b'"connections":%d,"dropped":0,"unanswered":0' % members
    with (
        bench.brokers.started(place) as broker,
        floor("sends") as floor_server,
        open_until_left(dial(broker.worker, heads)) as clients,
        open_until_left(plain(floor_server[1], members)) as bare,
        TightLoop(floor_server) as tight,
        Caller(broker.api, 1, report) as one,
        Caller(broker.api, 16, report) as many,
    ):
        receivers, bare_receivers = Receivers(clients), Receivers(bare)
        requests = repeat(post("/send?channel=news&type=text", BODY))

        def send(caller: Caller) -> Sample:
            return sends(
                broker, caller, requests, effort.seconds, receivers, copies=members, size=size
            )

        taken = interleaved(
            effort.rounds,
            {
                "floor": lambda: tight.sends(effort.seconds, bare_receivers, size),
                "one send at a time": partial(send, one),
                "16 sends in flight": partial(send, many),
            },
        )
    for name, least in (("one send at a time", 0.7), ("16 sends in flight", 5.0)):
        yield Figure(
            shape=f"channel of {members:,}",
            place=place.value,
            name=name,
            unit="deliveries/s",
            samples=taken[name],
            floor=FLOOR,
            floor_samples=taken["floor"],
            wanted=Wanted("ratio", least=least) if promised else None,
        )
