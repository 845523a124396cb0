"""All connections of this worker, found by what a target names. Pure and synchronous."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from dsock.target import Addressed, Target, ToChannel, ToConnection

One = TypeVar("One", bound=Addressed)


class Registry(Generic[One]):
    """An index over connections by id, user and channel.

    A group that becomes empty is forgotten, so that the registry is as large as what is in
    it now, not as what ever was.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, One] = {}
        self._by_user: dict[str, dict[str, One]] = {}
        self._by_channel: dict[str, dict[str, One]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[One]:
        return iter(self._by_id.values())

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def add(self, one: One) -> None:
        """Index a connection under its id, user and channels."""
        self._by_id[one.id] = one
        self._by_user.setdefault(one.user, {})[one.id] = one
        for channel in one.channels:
            self.subscribe(one, channel)

    def discard(self, one: One) -> bool:
        """Take a connection out; says whether it was in."""
        if self._by_id.pop(one.id, None) is None:
            return False
        _remove(self._by_user, one.user, one.id)
        for channel in one.channels:
            _remove(self._by_channel, channel, one.id)
        return True

    def subscribe(self, one: One, channel: str) -> None:
        """Index a connection under one more channel."""
        self._by_channel.setdefault(channel, {})[one.id] = one

    def unsubscribe(self, one: One, channel: str) -> None:
        """Take a connection out of a channel's index."""
        _remove(self._by_channel, channel, one.id)

    def select(self, target: Target) -> list[One]:
        """The connections of a target as they are now, in the order in which they joined
        it: a list of its own, each connection once."""
        if isinstance(target, ToChannel):
            return list(self._by_channel.get(target.channel, {}).values())
        if isinstance(target, ToConnection):
            one = self._by_id.get(target.id)
            return [one] if one else []
        of_user = self._by_user.get(target.user, {}).values()
        return [one for one in of_user if target.selects(one)]

    def holds(self, target: Target) -> bool:
        """Whether there is any connection of a target, without listing them."""
        if isinstance(target, ToChannel):
            return target.channel in self._by_channel
        if isinstance(target, ToConnection):
            return target.id in self._by_id
        return any(map(target.selects, self._by_user.get(target.user, {}).values()))

    def count_of(self, user: str) -> int:
        """How many connections a user has."""
        return len(self._by_user.get(user, ()))

    def sizes(self) -> tuple[int, int, int]:
        """How many connections, users and channels there are."""
        return len(self._by_id), len(self._by_user), len(self._by_channel)


def _remove(index: dict[str, dict[str, One]], key: str, id: str) -> None:
    group = index.get(key)
    if group is not None:
        group.pop(id, None)
        if not group:
            del index[key]
