"""In which order commands go out on a Cluster; nothing is sent here."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dsock.backends.redis.calls import Reply
from dsock.backends.redis.cluster.lanes import Lanes
from dsock.backends.redis.connections import Server
from dsock.backends.redis.pipe import Call
from dsock.errors import Unavailable
from tests.support.eventually import eventually

ONE, OTHER = Server("one", 1), Server("other", 2)
HERE, THERE = 1, 2


class Owners:
    """Slots of which a test says who has them."""

    def __init__(self) -> None:
        self.of = {HERE: ONE, THERE: OTHER}

    def owner(self, slot: int) -> Server | None:
        return self.of[slot]


class Traffic:
    """Lanes, and what has left them."""

    def __init__(self) -> None:
        self.owners = Owners()
        self.sent: list[tuple[Server | None, str]] = []
        slots: Any = self.owners
        self.lanes = Lanes(slots, self._send)

    def _send(self, server: Server | None, call: Call) -> None:
        self.sent.append((server, str(call.command[0])))

    def ask(self, slot: int, name: str, after: tuple[Reply, ...] = ()) -> Reply:
        reply: Reply = asyncio.get_running_loop().create_future()
        self.lanes.enter(slot, Call((name,), False, 0.0, reply), after)
        return reply

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.sent]


@pytest.fixture
async def traffic() -> Traffic:
    return Traffic()


async def settled() -> None:
    """Long enough for what an answer sets off."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_nothing_has_to_come_before_goes_out_at_once(traffic: Traffic) -> None:
    traffic.ask(HERE, "a")
    traffic.ask(HERE, "b")
    traffic.ask(THERE, "c")
    assert traffic.sent == [(ONE, "a"), (ONE, "b"), (OTHER, "c")]


async def test_what_comes_after_something_elsewhere_waits_until_that_is_answered(
    traffic: Traffic,
) -> None:
    first = traffic.ask(HERE, "first")
    traffic.ask(THERE, "then", after=(first,))
    traffic.ask(THERE, "behind")
    traffic.ask(HERE, "beside")
    await settled()
    assert traffic.names == ["first", "beside"]
    first.set_result(1)
    await eventually(lambda: traffic.names == ["first", "beside", "then", "behind"])


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_what_should_come_after_something_that_failed_is_not_sent(
    traffic: Traffic, how: str
) -> None:
    first = traffic.ask(HERE, "first")
    then = traffic.ask(THERE, "then", after=(first,))
    behind = traffic.ask(THERE, "behind")
    if how == "failed":
        first.set_exception(Unavailable())
    else:
        first.cancel()
    with pytest.raises(Unavailable):
        await then
    assert traffic.names == ["first", "behind"]
    assert not behind.done()


async def test_a_chain_over_many_slots_goes_out_link_by_link(traffic: Traffic) -> None:
    links: list[Reply] = []
    for number in range(6):
        links.append(traffic.ask((HERE, THERE)[number % 2], str(number), tuple(links)))
    for number, link in enumerate(links):
        await settled()
        assert len(traffic.sent) == number + 1
        link.set_result(1)
    assert traffic.names == list("012345")


async def test_what_is_asked_for_while_a_slot_moves_waits_for_what_the_old_master_has(
    traffic: Traffic,
) -> None:
    old = traffic.ask(HERE, "old")
    traffic.owners.of[HERE] = OTHER
    traffic.ask(HERE, "new")
    await settled()
    assert traffic.sent == [(ONE, "old")]
    old.set_result(1)
    await eventually(lambda: traffic.sent == [(ONE, "old"), (OTHER, "new")])


async def test_nothing_overtakes_what_has_to_be_sent_anew(traffic: Traffic) -> None:
    strayed = traffic.ask(HERE, "strayed")
    traffic.lanes.strayed(HERE)
    traffic.ask(HERE, "later")
    await settled()
    assert traffic.names == ["strayed"]
    strayed.set_result(1)
    await eventually(lambda: traffic.names == ["strayed", "later"])
    # What is asked for now is under no suspicion any more.
    traffic.ask(HERE, "afterwards")
    assert traffic.names[-1] == "afterwards"


async def test_a_lane_that_is_empty_is_forgotten(traffic: Traffic) -> None:
    reply = traffic.ask(HERE, "a")
    assert traffic.lanes.all() == [reply]
    reply.set_result(1)
    await eventually(lambda: not traffic.lanes.all())


async def test_a_lane_that_has_ended_does_not_end_the_next_one_of_its_slot(
    traffic: Traffic,
) -> None:
    first = traffic.ask(HERE, "first")
    before: Reply = asyncio.get_running_loop().create_future()
    never = traffic.ask(HERE, "never", after=(before,))
    answered: list[Reply] = []
    # What follows an answer at once is asked for in a new lane.
    first.add_done_callback(lambda _: answered.append(traffic.ask(HERE, "second")))
    first.set_result(1)
    before.set_exception(Unavailable())
    await settled()
    traffic.lanes.strayed(HERE)
    traffic.owners.of[HERE] = OTHER
    third = traffic.ask(HERE, "third")
    assert traffic.names == ["first", "second"]
    answered[0].set_result(1)
    await settled()
    assert traffic.sent[-1] == (OTHER, "third")
    third.set_result(1)
    assert isinstance(never.exception(), Unavailable)
    assert before.exception()
