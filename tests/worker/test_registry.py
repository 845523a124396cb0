"""The registry: an index that agrees with looking at every connection."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dsock.target import Target, ToChannel, ToConnection, ToUser
from dsock.worker.registry import Registry


@dataclass(eq=False)
class One:
    id: str
    user: str = "u"
    session: str | None = None
    channels: dict[str, None] = field(default_factory=dict)


USERS = ["a", "b", "a-b"]
SESSIONS = [None, "s", "b-s"]
CHANNELS = ["a", "news", "sport"]
TARGETS: list[Target] = [
    *(ToUser(user, session) for user in USERS for session in SESSIONS),
    *(ToChannel(channel) for channel in CHANNELS),
    ToConnection("0"),
    ToConnection("nobody"),
    ToUser("nobody"),
    ToChannel("empty"),
]

channels = st.sampled_from(CHANNELS)


def ids(connections: list[One]) -> list[str]:
    return sorted(one.id for one in connections)


class RegistryMachine(RuleBasedStateMachine):
    """Connections come, move between channels and go; a plain list is the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.registry: Registry[One] = Registry()
        self.present: list[One] = []
        self.count = 0

    @rule(
        user=st.sampled_from(USERS),
        session=st.sampled_from(SESSIONS),
        joined=st.lists(channels, unique=True),
    )
    def come(self, user: str, session: str | None, joined: list[str]) -> None:
        one = One(str(self.count), user, session, dict.fromkeys(joined))
        self.count += 1
        self.registry.add(one)
        self.present.append(one)

    @precondition(lambda self: self.present)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.present))
        assert self.registry.discard(one)
        assert not self.registry.discard(one)
        self.present.remove(one)

    @precondition(lambda self: self.present)
    @rule(data=st.data(), channel=channels)
    def subscribe(self, data: st.DataObject, channel: str) -> None:
        one = data.draw(st.sampled_from(self.present))
        one.channels[channel] = None
        self.registry.subscribe(one, channel)

    @precondition(lambda self: self.present)
    @rule(data=st.data(), channel=channels)
    def unsubscribe(self, data: st.DataObject, channel: str) -> None:
        one = data.draw(st.sampled_from(self.present))
        one.channels.pop(channel, None)
        self.registry.unsubscribe(one, channel)

    @invariant()
    def every_target_selects_what_a_look_at_all_selects(self) -> None:
        for target in TARGETS:
            wanted = [one for one in self.present if target.selects(one)]
            assert ids(self.registry.select(target)) == ids(wanted)

    @invariant()
    def every_connection_is_found_by_its_id(self) -> None:
        assert list(self.registry) == self.present
        assert len(self.registry) == len(self.present)
        for one in self.present:
            assert one.id in self.registry
            assert self.registry.select(ToConnection(one.id)) == [one]

    @invariant()
    def nothing_empty_is_remembered(self) -> None:
        users = {one.user for one in self.present}
        joined = {channel for one in self.present for channel in one.channels}
        assert self.registry.sizes() == (len(self.present), len(users), len(joined))
        for user in USERS:
            count = sum(one.user == user for one in self.present)
            assert self.registry.count_of(user) == count
        assert [self.registry.holds(ToUser(user)) for user in USERS] == [u in users for u in USERS]
        assert [self.registry.holds(ToChannel(c)) for c in CHANNELS] == [
            c in joined for c in CHANNELS
        ]


TestTheRegistryAgreesWithAPlainList = RegistryMachine.TestCase


def test_b34_users_and_channels_that_came_and_went_leave_nothing() -> None:
    registry: Registry[One] = Registry()
    for number in range(1000):
        one = One(str(number), f"user-{number}", None, {f"channel-{number}": None})
        registry.add(one)
        registry.discard(one)
    assert registry.sizes() == (0, 0, 0)


def test_b36_a_selection_does_not_change_while_connections_go() -> None:
    registry: Registry[One] = Registry()
    everyone = [One(str(number), channels={"c": None}) for number in range(10)]
    for one in everyone:
        registry.add(one)
    for target in (ToUser("u"), ToChannel("c")):
        assert registry.select(target) == everyone
    seen = []
    for one in registry.select(ToChannel("c")):
        registry.discard(one)
        seen.append(one)
    assert seen == everyone


def test_b08_a_connection_that_joins_a_channel_twice_is_selected_once() -> None:
    registry: Registry[One] = Registry()
    one = One("1", channels={"c": None})
    registry.add(one)
    registry.subscribe(one, "c")
    assert registry.select(ToChannel("c")) == [one]
    registry.unsubscribe(one, "c")
    assert registry.select(ToChannel("c")) == []


def test_a_connection_that_never_was_in_cannot_be_taken_out() -> None:
    registry: Registry[One] = Registry()
    registry.add(One("1", channels={"c": None}))
    assert not registry.discard(One("2", channels={"c": None}))
    registry.unsubscribe(One("2"), "c")
    assert ids(registry.select(ToChannel("c"))) == ["1"]
