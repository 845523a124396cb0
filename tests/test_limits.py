"""The rules of limits, in a time of the test's own."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock.errors import DsockError, TooManyConnections, TooManyConnectionsOfUser, TooManyConnects
from dsock.limits import MINUTE, MOST_ADDRESSES, MOST_PROVEN, PROVEN_FOR, Failures, Rate, Room

HERE, THERE = "192.0.2.1", "192.0.2.2"
MIB = 2**20


def come_in(room: Room, connections: int = 0, of_user: int = 0, now: float = 0.0) -> str:
    """The code with which one more is refused, or nothing."""
    try:
        room.enter(connections, of_user, now)
    except DsockError as error:
        return error.code
    return ""


# --- room --------------------------------------------------------------------------------


def test_without_limits_there_is_always_room() -> None:
    room = Room()
    assert {come_in(room, 10**6, 10**6) for _ in range(10_000)} == {""}


def test_a_worker_is_full_at_its_limit() -> None:
    room = Room(max_connections=3)
    assert [come_in(room, there) for there in range(5)] == [
        "",
        "",
        "",
        *2 * ["TOO_MANY_CONNECTIONS"],
    ]


def test_a_user_has_as_many_as_one_may_have() -> None:
    room = Room(max_of_user=2)
    assert [come_in(room, 100, mine) for mine in range(4)] == [
        "",
        "",
        *2 * ["TOO_MANY_CONNECTIONS_OF_USER"],
    ]


@pytest.mark.parametrize("per_second", [1, 3, 7, 1000])
def test_as_many_as_in_a_second_may_come_at_once_and_then_one_after_the_other(
    per_second: int,
) -> None:
    room = Room(max_per_second=per_second)
    at_once = [come_in(room, now=100.0) for _ in range(per_second + 1)]
    assert at_once == [*per_second * [""], "TOO_MANY_CONNECTS"]
    # A hair later, since a share of a second is not exact in binary.
    later = 100.0 + 1.001 / per_second
    assert [come_in(room, now=later) for _ in range(2)] == ["", "TOO_MANY_CONNECTS"]
    # However long nobody came.
    assert [come_in(room, now=10**6) for _ in range(per_second + 1)] == at_once


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda room: room.look(2, 0.0), TooManyConnections),
        (lambda room: room.enter(2, 0, 0.0), TooManyConnections),
        (lambda room: room.enter(0, 2, 0.0), TooManyConnectionsOfUser),
    ],
    ids=["look", "full", "of a user"],
)
def test_who_is_refused_takes_nobodys_turn(
    refused: Callable[[Room], None], error: type[DsockError]
) -> None:
    room = Room(max_connections=2, max_of_user=2, max_per_second=1)
    with pytest.raises(error):
        refused(room)
    room.look(0, 0.0)
    assert come_in(room) == ""
    with pytest.raises(TooManyConnects):
        room.look(0, 0.0)


@given(
    per_second=st.integers(1, 50),
    steps=st.lists(st.floats(0, 0.5), min_size=1, max_size=200),
)
def test_in_no_second_come_more_than_twice_as_many(per_second: int, steps: list[float]) -> None:
    rate, now, came = Rate(per_second), 0.0, []
    for step in steps:
        now += step
        if rate.allows(now):
            rate.take()
            came.append(now)
    for first in came:
        within = sum(first <= one < first + 1 for one in came)
        assert within <= 2 * per_second


# --- failures ----------------------------------------------------------------------------


def fail(failures: Failures, address: str, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        failures.add(address, now)


def test_an_address_may_fail_so_often_in_a_minute() -> None:
    failures = Failures(3)
    fail(failures, HERE, 2)
    assert not failures.over(HERE, 0.0)
    fail(failures, HERE, 1)
    assert failures.over(HERE, 0.0)
    assert failures.over(HERE, MINUTE - 0.001)
    assert not failures.over(HERE, MINUTE)
    fail(failures, HERE, 3, MINUTE)
    assert failures.over(HERE, MINUTE)


def test_others_may_fail_as_if_there_were_no_limit_for_one() -> None:
    failures = Failures(1)
    fail(failures, HERE, 1)
    assert failures.over(HERE, 0.0)
    assert not failures.over(THERE, 0.0)


def test_without_a_limit_nothing_is_remembered() -> None:
    failures = Failures(0)
    fail(failures, HERE, 1000)
    failures.prove(HERE, 0.0)
    assert not failures.over(HERE, 0.0)
    assert not failures.proven(HERE, 0.0)
    assert len(failures) == 0


def test_somebody_is_told_once_a_minute_of_an_address() -> None:
    told: list[str] = []
    failures = Failures(2, told.append)
    for now in (0.0, MINUTE):
        fail(failures, HERE, 5, now)
        fail(failures, THERE, 1, now)
    assert told == [HERE, HERE]


def test_whoever_has_an_ipv6_address_has_its_neighbours() -> None:
    failures = Failures(2)
    fail(failures, "2001:db8::1", 1)
    fail(failures, "2001:db8::ffff:0:0:1", 1)
    assert failures.over("2001:0db8:0:0:abcd::", 0.0)
    assert not failures.over("2001:db8:0:1::1", 0.0)


def test_an_address_with_a_zone_or_none_at_all_counts_too() -> None:
    failures = Failures(1)
    for address in ("fe80::1%eth0", "", "not:an:address"):
        fail(failures, address, 1)
        assert failures.over(address, 0.0)


def test_who_had_the_secret_is_known_for_an_hour() -> None:
    failures = Failures(1)
    failures.prove(HERE, 0.0)
    assert failures.proven(HERE, PROVEN_FOR - 1)
    assert not failures.proven(HERE, PROVEN_FOR)
    assert not failures.proven(THERE, 0.0)


def test_who_shows_the_secret_again_and_again_is_not_forgotten_for_others() -> None:
    failures = Failures(1)
    for number in range(3 * MOST_PROVEN):
        failures.prove(HERE, float(number))
        failures.prove(_address(number), float(number))
    assert failures.proven(HERE, 3.0 * MOST_PROVEN)


def test_an_address_is_forgotten_before_its_minute_only_for_many_others() -> None:
    failures = Failures(1)
    fail(failures, HERE, 1)
    for number in range(MOST_ADDRESSES - 1):
        failures.add(_address(number), 0.0)
    assert failures.over(HERE, 0.0)
    failures.add(THERE, 0.0)
    assert not failures.over(HERE, 0.0)
    assert failures.over(THERE, 0.0)


@pytest.mark.parametrize("form", ["10.{}.{}.{}", "2001:db8:{:x}:{:x}{:02x}::1"])
def test_a_hundred_thousand_addresses_cost_bounded_memory(form: str) -> None:
    failures = Failures(60)
    tracemalloc.start()
    try:
        for number in range(100_000):
            failures.add(_address(number, form), 0.0)
            failures.prove(_address(number, form), 0.0)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(failures) == MOST_ADDRESSES
    assert sum(failures.proven(_address(one, form), 0.0) for one in range(100_000)) == MOST_PROVEN
    assert held < 2 * MIB
    failures.add(HERE, MINUTE)
    assert len(failures) == 1


def _address(number: int, form: str = "10.{}.{}.{}") -> str:
    return form.format(number >> 16, number >> 8 & 255, number & 255)
