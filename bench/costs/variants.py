"""A send as a whole: by what it is to, how many workers are told, and how they are."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from bench.brokers import TOKEN, Brokers
from bench.costs.model import Cost, Costs, usual
from bench.costs.operations import Operations, Size, metered_broker
from bench.generator.dial import dial, open_until_left
from bench.generator.receivers import Receivers
from bench.generator.requests import upgrade_as
from bench.generator.sends import BODY

WORKERS = 3


ONE, TWO = "to a channel", "to a channel of 2 on 2 workers"


def with_more(costs: Costs, found: dict[str, Cost]) -> Costs:
    """The costs, with what a second worker adds by these variants."""
    rest = costs.delivery + costs.kibibyte * (len(BODY) / 1024)
    quiet = f"{TWO}, report=false", f"{ONE}, report=false"
    return replace(
        costs,
        more=found[TWO] - found[ONE] - rest,
        more_quiet=found[quiet[0]] - found[quiet[1]] - rest,
    )


def variants(brokers: Brokers, size: Size, in_flight: int) -> Iterator[tuple[str, Cost]]:
    """What each costs: each send gets to one connection at each worker that is told."""
    count = size.alone if in_flight == 1 else size.busy
    with metered_broker(brokers, WORKERS) as (meter, broker, workers, _), ExitStack() as stack:
        meter.rest(size.rest)
        on = Operations(meter, broker, count, in_flight)
        clients = []
        for number, port in enumerate(workers, start=1):
            names = [f"told-{told}" for told in range(number, WORKERS + 1)]
            heads = [upgrade_as(f"user-{number}", names)]
            clients += stack.enter_context(open_until_left(dial(port, heads)))
        readers = Receivers(clients)
        targets = {
            "to a user": ("user=user-1", 1),
            "to a connection": (f"id={_id_of('user-1', broker.api)}", 1),
        }
        for told in range(1, WORKERS + 1):
            members = f"to a channel of {told} on {told} workers" if told > 1 else ONE
            targets[members] = (f"channel=told-{told}", told)
            targets[f"{members}, report=false"] = (f"channel=told-{told}&report=false", told)
        for name, (query, copies) in targets.items():
            rounds = [on.sends(query, readers, copies) for _ in range(size.rounds)]
            yield name, usual(rounds)
    yield "to a user, messaging_method=direct", _direct(brokers, size, in_flight, count)


def _direct(brokers: Brokers, size: Size, in_flight: int, count: int) -> Cost:
    options = {"messaging_method": "direct", "token": TOKEN}
    with metered_broker(brokers, 1, 1, **options) as (meter, broker, *_):
        meter.rest(size.rest)
        on = Operations(meter, broker, count, in_flight)
        with open_until_left(dial(broker.worker, [upgrade_as("user-1")])) as clients:
            readers = Receivers(clients)
            return usual([on.sends("user=user-1", readers, 1) for _ in range(size.rounds)])


def _id_of(user: str, api: int) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{api}/info?user={user}", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request) as answer:
        [connection] = json.load(answer)["connections"]
        return str(connection["id"])
