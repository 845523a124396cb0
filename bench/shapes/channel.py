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
from bench.generator.receivers import Receivers
from bench.generator.requests import frame_size, post, upgrade_as
from bench.generator.sends import BODY, TightLoop, sends

FLOOR = "one send() per message"

PROMPT = "readers woken"
"""For each message; otherwise they look now and then."""


def small(bench: Bench, place: Place) -> Iterator[Figure]:
    return _channel(bench, place, bench.effort.channel, promised=place is Place.MEMORY)


def large(bench: Bench, place: Place) -> Iterator[Figure]:
    return _channel(bench, place, bench.effort.crowd, promised=False)


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
        requests = repeat(post("/send?channel=news&type=text", BODY))

        def send(caller: Caller, receivers: Receivers) -> Sample:
            return sends(
                broker, caller, requests, effort.seconds, receivers, copies=members, size=size
            )

        def loop(receivers: Receivers) -> Sample:
            return tight.sends(effort.seconds, receivers, size)

        readers, bare_readers = Receivers(clients), Receivers(bare)
        taken = interleaved(
            effort.rounds,
            {
                "floor": partial(loop, bare_readers),
                "one send at a time": partial(send, one, readers),
                "16 sends in flight": partial(send, many, readers),
            },
        )
        prompt, bare_prompt = Receivers(clients, prompt=True), Receivers(bare, prompt=True)
        taken |= interleaved(
            effort.rounds,
            {
                f"floor, {PROMPT}": partial(loop, bare_prompt),
                f"one send at a time, {PROMPT}": partial(send, one, prompt),
                f"16 sends in flight, {PROMPT}": partial(send, many, prompt),
            },
        )
    for readers_are in ("", f", {PROMPT}"):
        for name, least in (("one send at a time", 0.7), ("16 sends in flight", 5.0)):
            yield Figure(
                shape=f"channel of {members:,}",
                place=place.value,
                name=name + readers_are,
                unit="deliveries/s",
                samples=taken[name + readers_are],
                floor=FLOOR,
                floor_samples=taken["floor" + readers_are],
                wanted=Wanted("ratio", least=least) if promised else None,
            )
