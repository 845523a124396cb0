"""The formulas against loads that they were not fitted to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from bench.brokers import Brokers
from bench.costs.model import Cost, Costs, Load, Memory, memory, of_a_second, of_a_send, usual
from bench.costs.operations import (
    BEATS,
    TTL,
    Operations,
    Size,
    channel_names,
    memory_of,
    metered_broker,
)
from bench.generator.dial import dial, open_until_left
from bench.generator.pongs import IdleClients
from bench.generator.receivers import Receivers
from bench.generator.requests import post, upgrade_as
from bench.generator.schedule import Open, even
from bench.machine import GENERATOR_CORE
from bench.processes import module

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Check:
    """One load: what the formulas say of it, and what it was."""

    name: str
    predicted: Cost
    measured: Cost


def mix(brokers: Brokers, costs: Costs, size: Size, apis: int, report: bool) -> Check:
    """Clients come and go while a channel with members on three workers is sent to, by each
    API in turn, at a fixed rate."""
    seconds = size.rest
    load = Load(
        workers=3,
        apis=apis,
        connections=CHURNED + 3 * size.members // 20,
        ping_interval=NEVER,
        connects_jwt=50.0,
        leaves=50.0,
        sends=500.0,
        told=3.0,
        receivers=3 * (size.members // 20),
        body=1024,
        report=report,
    )
    call = post(f"/send?channel=news&type=text&report={str(report).lower()}", b"x" * 1024)
    due = even(load.sends, seconds / apis)
    with ExitStack() as stack:
        meter, broker, workers, ports = stack.enter_context(metered_broker(brokers, 3, apis))
        callers = [stack.enter_context(Open(port, 16)) for port in ports]
        clients = []
        for port in workers:
            heads = [upgrade_as(f"{port}-{n}", ["news"]) for n in range(size.members // 20)]
            clients += stack.enter_context(open_until_left(dial(port, heads)))
        readers = Receivers(clients)
        arguments = (str(broker.worker), "churned", str(CHURNED), "50")
        stack.enter_context(module("bench.generator.churn", *arguments, core=GENERATOR_CORE))
        time.sleep(BEATS)  # until all have come, and some have gone

        def action() -> None:
            for caller in callers:
                caller.follow([call] * len(due), due, copies=0)
                readers.empty()

        start = time.monotonic()
        rounds = [meter.spent(action) for _ in range(size.rounds)]
        passed = (time.monotonic() - start) / size.rounds
    each = of_a_send(costs, load) * (len(due) * apis)
    rest = of_a_second(costs, replace(load, sends=0.0)) * passed
    told = "with reports" if report else "report=false"
    name = f"50 connects/s, 50 leave/s, 500 sends/s of 1 KiB to 3 workers, {apis} API, {told}"
    return Check(name, (each + rest) * (1 / passed), usual(rounds) * (1 / passed))


CHURNED = 100
"""Clients that are connected at any time, of those that come and go."""


def busy_sends(brokers: Brokers, costs: Costs, size: Size) -> Check:
    """As many sends as there can be, with 3 workers told of each."""
    load = Load(workers=3, ping_interval=NEVER, told=3.0, receivers=3.0, body=512)
    with metered_broker(brokers, 3) as (meter, broker, workers, _), ExitStack() as stack:
        meter.rest(size.rest)
        on = Operations(meter, broker, size.busy, size.in_flight)
        clients = []
        for port in workers:
            clients += stack.enter_context(open_until_left(dial(port, [upgrade_as("thrice")])))
        body = b"x" * int(load.body)
        readers = Receivers(clients)
        spent = usual([on.sends("user=thrice", readers, 3, body) for _ in range(size.rounds)])
    name = f"a send of 512 bytes to 3 workers, {size.in_flight} in flight"
    return Check(name, of_a_send(costs, load), spent)


def idle(brokers: Brokers, costs: Costs, size: Size) -> Check:
    """Connections that answer pings, and nothing else."""
    load = Load(connections=size.memory, ttl_duration=TTL, ping_interval=5.0)
    options = {"ttl_duration": f"{TTL:g}s", "ping_interval": "5s"}
    with metered_broker(brokers, 1, 1, **options) as (meter, broker, *_):
        heads = [upgrade_as(f"user-{number}", ["news"]) for number in range(size.memory)]
        with open_until_left(dial(broker.worker, heads)) as sockets:
            clients = IdleClients(sockets)
            clients.answer_for(TTL)  # who has just come is not refreshed yet
            spent = meter.spent(lambda: clients.answer_for(TTL))
    name = f"{size.memory:,} idle connections, ttl_duration 10 s, ping_interval 5 s"
    return Check(name, of_a_second(costs, load), spent * (1 / TTL))


def all_checks(brokers: Brokers, alone: Costs, busy: Costs, size: Size) -> Iterator[Check]:
    yield mix(brokers, alone, size, 1, report=True)
    yield mix(brokers, alone, size, 2, report=False)
    yield busy_sends(brokers, busy, size)
    yield idle(brokers, busy, size)


def memory_check(brokers: Brokers, costs: Memory, size: Size) -> tuple[float, float]:
    """Predicted and measured bytes of connections in five channels each."""
    names: Sequence[str] = channel_names(5)
    predicted = memory(costs, size.check, names, len(names))
    return predicted, memory_of(brokers, [names] * size.check)
