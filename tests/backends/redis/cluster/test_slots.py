"""What a Cluster looks like: what most of its servers say."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from dsock.backends.redis.cluster.slots import Slots, View, slot_of
from dsock.backends.redis.connections import Server

OLD, NEW, OTHER = Server("old", 1), Server("new", 2), Server("other", 3)
SEEDS = [OLD, NEW, OTHER]

BEFORE: View = ((0, 8191, (OLD, NEW)), (8192, 16383, (OTHER,)))
AFTER: View = ((0, 8191, (NEW, OLD)), (8192, 16383, (OTHER,)))


class Saying(Slots):
    """Servers that say what a test wants; None is no answer."""

    def __init__(self, views: dict[Server, View | None]) -> None:
        self.views = views
        no_dial: Any = None
        super().__init__(SEEDS, no_dial)

    async def _ask(self, server: Server) -> View:
        if view := self.views[server]:
            return view
        raise RedisConnectionError


class Follower:
    """Counts how often the masters were others."""

    misses = False

    def __init__(self) -> None:
        self.looked = 0

    def look_round(self) -> None:
        self.looked += 1


async def test_who_was_away_and_says_what_was_before_misleads_nobody() -> None:
    slots = Saying({OLD: BEFORE, NEW: AFTER, OTHER: AFTER})
    await slots.look()
    assert slots.masters == (NEW, OTHER)
    assert (slots.owner(0), slots.owner(8191), slots.owner(8192)) == (NEW, NEW, OTHER)


async def test_servers_that_list_replicas_in_different_orders_agree_all_the_same() -> None:
    more = [Server(name, 4) for name in ("replica", "another")]
    views: list[View] = [((0, 16383, (NEW, *replicas)),) for replicas in (more, more[::-1])]
    stale: View = ((0, 16383, (OLD, *more)),)
    slots = Saying({OLD: stale, NEW: views[0], OTHER: views[1]})
    for _ in range(20):
        await slots.look()
        assert slots.owner(1) == NEW
        # Who is not among the seeds is asked too, if there is need.
        slots.views |= dict.fromkeys(more)


async def test_one_server_that_answers_is_enough() -> None:
    slots = Saying({OLD: None, NEW: AFTER, OTHER: None})
    await slots.look()
    assert slots.owner(1) == NEW


async def test_when_nobody_answers_what_was_known_stays() -> None:
    slots = Saying(dict.fromkeys(SEEDS, AFTER))
    await slots.look()
    slots.views = dict.fromkeys(SEEDS)
    with pytest.raises(RedisConnectionError):
        await slots.look()
    assert slots.owner(1) == NEW


async def test_who_follows_is_told_of_other_masters_and_of_nothing_else() -> None:
    slots, follower = Saying(dict.fromkeys(SEEDS, BEFORE)), Follower()
    slots.followers.append(follower)
    await slots.look()
    await slots.look()
    assert follower.looked == 1
    slots.moved(1, OTHER)
    assert (slots.owner(1), follower.looked) == (OTHER, 1)
    slots.moved(2, NEW)
    assert follower.looked == 2


def test_the_part_in_braces_decides_on_the_slot() -> None:
    assert slot_of("{worker}") == slot_of("{worker}:channel") == slot_of(b"worker")
    assert slot_of("worker:channel") != slot_of("worker")
