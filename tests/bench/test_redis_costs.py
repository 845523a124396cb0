"""What operations cost: the formulas add up, and each operation is measured."""

from __future__ import annotations

from dataclasses import astuple, fields, replace

import pytest

from bench.brokers import Brokers
from bench.costs.model import (
    Cost,
    Costs,
    Load,
    Memory,
    memory,
    of_a_second,
    of_a_send,
    of_nodes,
    usual,
)
from bench.costs.operations import Bare, Size, channel_names, memory_of, operations, parts_of_a_send
from bench.generator.sends import BODY
from bench.redis_costs import NAMES, rows, table

NOTHING = Cost()

FREE = Costs(**{one.name: NOTHING for one in fields(Costs)})

TINY = Size(rounds=1, alone=100, busy=100, in_flight=4, members=120, rest=1.0, memory=30)
"""Small, but enough of each that what nodes do anyway is little beside it."""


def test_a_send_costs_its_route_and_then_by_workers_bytes_and_receivers() -> None:
    costs = replace(
        FREE,
        route=Cost(commands=1, api=100),
        told=Cost(commands=2, redis=5),
        more=Cost(commands=2, redis=4),
        told_quiet=Cost(commands=1, redis=2),
        more_quiet=Cost(commands=1, redis=1),
        kibibyte=Cost(bytes_in=1024, bytes_out=1024),
        delivery=Cost(worker=3),
    )
    load = Load(told=3, receivers=50, body=512)
    assert of_a_send(costs, load) == Cost(7, 1536, 1536, redis=13, api=100, worker=150)
    assert of_a_send(costs, replace(load, report=False)).commands == 4
    assert of_a_second(costs, replace(load, sends=10)).commands == 70


def test_each_node_looks_at_each_worker() -> None:
    costs = replace(FREE, row=Cost(bytes_out=10), worker_second=Cost(commands=8))
    assert of_nodes(costs, workers=4, apis=2) == Cost(commands=32, bytes_out=4 * 6 * 10)


def test_a_connection_is_written_once_a_period_and_once_a_pong() -> None:
    costs = replace(FREE, refresh=Cost(commands=3))
    load = Load(connections=600, ttl_duration=60, ping_interval=30)
    assert of_a_second(costs, load).commands == pytest.approx(90)
    never = replace(load, ping_interval=float("inf"))
    assert of_a_second(costs, never).commands == pytest.approx(30)


@pytest.mark.parametrize(
    ("cost", "load"),
    [
        ("claim", Load(claims=2)),
        ("connect_jwt", Load(connects_jwt=2)),
        ("connect_claim", Load(connects_claim=2)),
        ("leave", Load(leaves=2)),
        ("subscribe", Load(subscribes=2)),
        ("unsubscribe", Load(unsubscribes=2)),
    ],
)
def test_what_happens_twice_a_second_costs_twice(cost: str, load: Load) -> None:
    costs = replace(FREE, **{cost: Cost(commands=5)})
    assert of_a_second(costs, load) == Cost(commands=10)


def test_the_memory_of_connections_grows_with_their_channels() -> None:
    costs = Memory(connection=900, membership=100, long=200, channel=500, claim=600)
    assert memory(costs, 10, ["a", "b"], in_all=2) == 10 * 1100 + 1000
    assert memory(costs, 10, ["x" * 65], in_all=1) == 10 * 1200 + 500
    assert memory(costs, 0, [], in_all=0, claims=3) == 1800


def test_of_several_rounds_the_median_is_counted_and_the_least_cpu() -> None:
    rounds = [Cost(1, 9, redis=7), Cost(2, 8, redis=5), Cost(30, 1, redis=6)]
    assert usual(rounds) == Cost(2, 8, redis=5)


def test_the_parts_of_a_send_add_up_to_it() -> None:
    sends = {"nobody": Cost(1, api=100), "one": Cost(3, 300, 350, redis=50, api=300, worker=150)}
    sends |= {"quiet": Cost(2, 200, 250, redis=30), "large": sends["one"] + Cost(0, 16256, 16256)}
    sends["many"] = sends["one"] + Cost(worker=36)
    costs = replace(FREE, **parts_of_a_send(sends, members=10))
    assert costs.delivery == Cost(worker=4)
    assert of_a_send(costs, Load(body=len(BODY))) == sends["one"]
    assert of_a_send(costs, Load(body=len(BODY), report=False)) == sends["quiet"]
    assert of_a_send(costs, Load(body=len(BODY), receivers=10)) == sends["many"]


def test_the_table_has_a_line_for_each_cost() -> None:
    assert set(NAMES) == {one.name for one in fields(Costs)}
    lines = table("costs", list(rows(FREE))).splitlines()
    assert len(lines) == 2 + len(NAMES)
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize("in_flight", [1, TINY.in_flight])
def test_each_operation_is_measured(in_flight: int) -> None:
    bare = Bare(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)
    with Brokers() as brokers:
        costs = operations(brokers, bare, TINY, in_flight)
    for name in ("claim", "connect_jwt", "connect_claim", "subscribe", "route", "told"):
        cost: Cost = getattr(costs, name)
        assert min(astuple(cost)[:4]) > 0, name
    assert costs.route.commands == pytest.approx(1, abs=0.5)
    assert costs.connect_claim.commands > costs.connect_jwt.commands
    assert costs.kibibyte.bytes_out == pytest.approx(1024, rel=0.1)


def test_the_memory_of_connections_is_measured() -> None:
    with Brokers() as brokers:
        few = memory_of(brokers, [channel_names(1)] * 50)
        many = memory_of(brokers, [channel_names(3)] * 200)
    assert 0 < few < many
