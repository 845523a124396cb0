"""What each operation costs, one kind after the other, at an API and a worker that are up."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from bench.brokers import Broker, Brokers, Place
from bench.costs.meter import Meter, Processes, metering
from bench.costs.model import Cost, Costs, Memory, usual
from bench.generator.calls import Caller
from bench.generator.dial import dial, hang_up, open_until_left
from bench.generator.receivers import Receivers
from bench.generator.requests import frame_size, get, post, upgrade, upgrade_as
from bench.generator.sends import BODY

LARGE = 16 * 1024
"""Bytes of a body, to see what a KiB of it costs."""

BEATS = 2.5
"""Seconds within which a worker has written what it does not write at once."""

TTL = 10.0
"""`ttl_duration` where refreshing is measured, so that it takes no minute."""

SENDS = ("nobody", "one", "quiet", "large", "many")

SOME = 300
"""Sends, at most, of which each is much work."""

REFRESH = 3
"""Commands of a refresh: a script, and the two that it calls."""

PACE = 0.005
"""Seconds between clients that leave one at a time."""

FEW, MANY = 3, 10
"""Channels of a connection; the names of the many take more than `model.LONG`."""

FOREVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    alone: int = 300
    """Operations, one at a time."""
    busy: int = 2000
    """Operations, `in_flight` at a time."""
    in_flight: int = 64
    members: int = 1000
    """Of the channel at which a delivery is measured."""
    rest: float = 4.0
    """Seconds in which nothing happens."""
    memory: int = 3000
    """Connections, and claims, by which memory is measured."""
    check: int = 5000
    """Connections by which the formula for memory is checked."""


@dataclass(frozen=True, slots=True)
class Bare:
    """What nodes cost that have nothing to do."""

    redis: Cost
    api: Cost
    worker: Cost
    row: Cost
    refresh: Cost


@contextmanager
def metered_broker(
    brokers: Brokers, workers: int = 1, apis: int = 1, **options: str
) -> Iterator[tuple[Meter, Broker, list[int], list[int]]]:
    """A broker with so many nodes, a meter of all of them, and the ports of workers and of
    APIs."""
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.started(Place.REDIS, **options))
        more_workers = [
            stack.enter_context(brokers.another_worker(**options)) for _ in range(workers - 1)
        ]
        more_apis = [stack.enter_context(brokers.another_api(**options)) for _ in range(apis - 1)]
        assert broker.redis
        processes = Processes(
            broker.redis,
            [one for one in broker.pids if one != broker.worker_pid] + [p for p, _ in more_apis],
            [broker.worker_pid, *(pid for pid, _ in more_workers)],
        )
        meter = stack.enter_context(metering(brokers.redis[1], processes))
        worker_ports = [broker.worker, *(port for _, port in more_workers)]
        yield meter, broker, worker_ports, [broker.api, *(port for _, port in more_apis)]


def bare(brokers: Brokers, size: Size) -> Bare:
    """Nodes at rest, and a connection's record that is refreshed."""
    taken: dict[tuple[int, int], Cost] = {}
    for workers, apis in ((1, 1), (3, 1), (3, 2)):
        with metered_broker(brokers, workers, apis) as (meter, *_):
            taken[workers, apis] = meter.rest(2 * size.rest)
    pid, port = brokers.redis
    with metering(port, Processes(pid, [], [])) as meter:
        redis = Cost(redis=meter.rest(2 * size.rest).redis)
    one, three, five = taken[1, 1], taken[3, 1], taken[3, 2]
    # Looks grow with workers times nodes: 2, 12 and 15 rows a second. The rest is linear.
    per_worker, per_api = (three - one) * 0.5, five - three
    row = Cost(bytes_out=((per_worker + per_api - one) * (1 / 6)).bytes_out)
    # So little CPU of Redis is told apart by the number of commands alone.
    command = (five - redis).redis / five.commands
    api, worker = per_api - row * 3, per_worker - row * 5
    return Bare(
        redis=redis,
        api=replace(api, redis=api.commands * command, worker=0.0),
        worker=replace(worker, redis=worker.commands * command, api=0.0),
        row=row,
        refresh=_refresh(brokers, size),
    )


def _refresh(brokers: Brokers, size: Size) -> Cost:
    with metered_broker(brokers, 1, 1, ttl_duration=f"{TTL:g}s") as (meter, broker, *_):
        meter.rest(size.rest)
        heads = [upgrade_as(f"user-{number}", ["news"]) for number in range(size.memory)]
        with open_until_left(dial(broker.worker, heads)):
            spent = meter.spent(lambda: None, linger=TTL)
    return spent * (REFRESH / spent.commands)


class Operations:
    """Measures at one broker, so many at a time. `count` is how many of each."""

    def __init__(self, meter: Meter, broker: Broker, count: int, in_flight: int) -> None:
        self._meter = meter
        self._broker = broker
        self._count = count
        self._in_flight = in_flight

    def calls(self, requests: Sequence[bytes], clients: Receivers | None = None) -> Cost:
        """One call, of all these; what they bring to the clients is read."""
        with self._caller() as caller:
            done = self._meter.spent(lambda: caller.run(iter(requests), FOREVER, clients))
        return done * (1 / len(requests))

    def connects(self, heads: Sequence[bytes]) -> tuple[Cost, list[socket.socket]]:
        """One connect, of all these."""
        opened: list[socket.socket] = []

        def one_at_a_time() -> None:
            for head in heads:
                opened.extend(dial(self._broker.worker, [head]))

        def together() -> None:
            opened.extend(dial(self._broker.worker, heads))

        done = self._meter.spent(one_at_a_time if self._in_flight == 1 else together)
        return done * (1 / len(heads)), opened

    def leaves(self, clients: Sequence[socket.socket]) -> Cost:
        """One client that goes; its routes are closed some time after."""

        def one_at_a_time() -> None:
            for client in clients:
                hang_up([client])
                time.sleep(PACE)

        def together() -> None:
            hang_up(clients)

        action = one_at_a_time if self._in_flight == 1 else together
        done = self._meter.spent(action, linger=BEATS)
        return done * (1 / len(clients))

    def sends(
        self, query: str, clients: Receivers, copies: int, body: bytes = BODY, count: int = 0
    ) -> Cost:
        """One send, of `count`; `%d` in the query becomes its number."""
        count = count or self._count
        requests = [
            post(f"/send?type=text&{query.replace('%d', str(number % self._count))}", body)
            for number in range(count)
        ]

        def action() -> None:
            caller.run(iter(requests), FOREVER, clients)
            clients.wait_for(count * copies * frame_size(len(body)))

        clients.empty()
        with self._caller() as caller:
            return self._meter.spent(action) * (1 / count)

    @contextmanager
    def _caller(self) -> Iterator[Caller]:
        """Whoever calls is connected already."""
        with Caller(self._broker.api, self._in_flight) as caller:
            caller.run(iter([get("/ping")] * self._in_flight), FOREVER)
            yield caller

    def entering(self) -> tuple[dict[str, Cost], list[socket.socket]]:
        """Claims are made, and clients come with them."""
        ids = [secrets.token_urlsafe(16) for _ in range(self._count)]
        named = [f"user-{number}" for number in range(self._count)]
        found = {
            "claim": self.calls(
                [
                    post(f"/claim?user={user}&channels=news&id={id}")
                    for user, id in zip(named, ids, strict=True)
                ]
            )
        }
        found["connect_claim"], clients = self.connects([upgrade(f"claim={id}") for id in ids])
        return found, clients

    def moving(self) -> dict[str, Cost]:
        """Each user's connection is put into a channel that others are in, and out of it."""
        return {
            verb: self.calls(
                [post(f"/channel/{verb}/room?user=user-{n}") for n in range(self._count)]
            )
            for verb in ("subscribe", "unsubscribe")
        }

    def sending(self, clients: Receivers, members: int) -> dict[str, Cost]:
        """Sends to nobody, to single users, and to the channel that has so many members."""
        user, some = "user=user-%d", min(self._count, SOME)
        return {
            "nobody": self.sends("channel=nobody", clients, 0),
            "one": self.sends(user, clients, 1),
            "quiet": self.sends(f"{user}&report=false", clients, 1),
            "large": self.sends(user, clients, 1, b"x" * LARGE, some),
            "many": self.sends("channel=news", clients, members, count=some),
        }


def parts_of_a_send(sends: dict[str, Cost], members: int) -> dict[str, Cost]:
    """What `Operations.sending` has found, taken apart."""
    kibibyte = (sends["large"] - sends["one"]) * (1024 / (LARGE - len(BODY)))
    delivery = Cost(worker=((sends["many"] - sends["one"]) * (1 / (members - 1))).worker)
    rest = sends["nobody"] + delivery + kibibyte * (len(BODY) / 1024)
    return {
        "route": sends["nobody"],
        "told": sends["one"] - rest,
        "told_quiet": sends["quiet"] - rest,
        "kibibyte": kibibyte,
        "delivery": delivery,
    }


def operations(brokers: Brokers, nodes: Bare, size: Size, in_flight: int) -> Costs:
    """All of it, so many at a time."""
    count = size.alone if in_flight == 1 else size.busy
    rounds = []
    for _ in range(size.rounds):
        with metered_broker(brokers) as (meter, broker, *_):
            meter.rest(size.rest)
            rounds.append(_round(Operations(meter, broker, count, in_flight), size, count))
    found = {name: usual([one[name] for one in rounds]) for name in rounds[0]}
    sends = {name: found.pop(name) for name in SENDS}
    return Costs(
        **found,
        **parts_of_a_send(sends, max(count, size.members)),
        refresh=nodes.refresh,
        redis_second=nodes.redis,
        api_second=nodes.api,
        worker_second=nodes.worker,
        row=nodes.row,
    )


def _round(on: Operations, size: Size, count: int) -> dict[str, Cost]:
    found, claimed = on.entering()
    found["leave"] = on.leaves(claimed)
    heads = [upgrade_as(f"user-{number}", ["news"]) for number in range(count)]
    found["connect_jwt"], clients = on.connects(heads)
    others = [upgrade_as(f"other-{n}", ["news"]) for n in range(size.members - count)]
    clients += on.connects(others)[1] if others else []
    with open_until_left(clients):
        readers = Receivers(clients)
        return {**found, **on.moving(), **on.sending(readers, len(clients))}


def memories(brokers: Brokers, size: Size) -> Memory:
    """Bytes of Redis for a connection, by its channels, and for a claim."""
    count = size.memory
    none, few, many = (
        memory_of(brokers, [channel_names(number)] * count) / count for number in (0, FEW, MANY)
    )
    own = memory_of(brokers, [[f"channel-{number}"] for number in range(count)]) / count
    membership = (few - none) / FEW
    return Memory(
        connection=none,
        membership=membership,
        long=many - none - MANY * membership,
        channel=own - none - membership,
        claim=_memory_of_claims(brokers, count) / count,
    )


def channel_names(number: int) -> list[str]:
    """So many channels."""
    return [f"channel-{one}" for one in range(number)]


def memory_of(brokers: Brokers, channels: Sequence[Sequence[str]]) -> int:
    """Bytes of Redis for as many connections, which are in these channels."""
    heads = [upgrade_as(f"user-{number}", names) for number, names in enumerate(channels)]
    with metered_broker(brokers) as (meter, broker, *_):
        before = meter.memory()
        with open_until_left(dial(broker.worker, heads)):
            return meter.memory() - before


def _memory_of_claims(brokers: Brokers, count: int) -> int:
    calls = [post(f"/claim?user=user-{n}&channels=news&duration=600") for n in range(count)]
    with metered_broker(brokers) as (meter, broker, *_), Caller(broker.api, 16) as caller:
        before = meter.memory()
        caller.run(iter(calls), FOREVER)
        return meter.memory() - before
