"""Claims, connections and channels as plain Python has them, against each backend.

The same rules for memory and Redis, through HTTP and real WebSockets: a cluster runs in the
background, and each example uses names of its own in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dsock.target import Target, ToChannel, ToConnection, ToUser
from tests.conftest import BACKENDS
from tests.support.cluster import Caller, Reply, direct
from tests.support.crowd import MISSING_CLAIM, Client
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.world import World, world_of

SHORT, LONG = 60, 1_000_000_000
"""Lifetimes of claims in seconds; time passes in steps of the short one."""

USERS = ["a", "a-b", "b"]
SESSIONS = [None, "c", "b-c"]
CHANNELS = ["news", "new", "a-b"]

BOUNDED = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

nodes = st.integers(0, 1)
channels = st.sampled_from(CHANNELS)
words = st.one_of(
    st.tuples(st.just("user"), st.sampled_from(USERS), st.sampled_from(SESSIONS)),
    st.tuples(st.just("channel"), channels, st.none()),
    st.tuples(st.just("id"), st.integers(0, 3), st.none()),
)
Words = tuple[str, Any, str | None]


@dataclass
class Known:
    """What a claim or connection should be; only one of `lifetime` and `client` matters."""

    id: str
    user: str
    session: str | None
    channels: list[str]
    lifetime: int = LONG
    client: Client | None = None
    unread: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """As `/info` shows it."""
        session = {"session": self.session} if self.session else {}
        return {"id": self.id, "user": self.user, **session, "channels": self.channels}

    def move(self, channel: str, subscribed: bool) -> None:
        if subscribed and channel not in self.channels:
            self.channels.append(channel)
        elif not subscribed and channel in self.channels:
            self.channels.remove(channel)


class Broker(RuleBasedStateMachine):
    """`claims` and `connections` are what there should be; `used` ids admit nobody."""

    def __init__(self, world: World, redis: RedisServer | None) -> None:
        super().__init__()
        self.world = world
        self.redis = redis
        self.claims: dict[str, Known] = {}
        self.used: list[str] = []
        self.connections: dict[str, Known] = {}
        self.count = 0
        self.world.rounds += 1
        self.prefix = f"{self.world.rounds}:"

    # --- claims and clients --------------------------------------------------------------

    @rule(
        node=nodes,
        user=st.sampled_from(USERS),
        session=st.sampled_from(SESSIONS),
        joined=st.lists(channels, max_size=3),
        lifetime=st.sampled_from([SHORT, LONG]),
    )
    def claim(
        self, node: int, user: str, session: str | None, joined: list[str], lifetime: int
    ) -> None:
        self.count += 1
        id = f"claim-{self.world.rounds}-{self.count}"
        user, joined = self.prefix + user, [self.prefix + name for name in joined]
        given = {"session": session} if session else {}
        given |= {"channels": ",".join(joined)} if joined else {}
        self.run(self.api(node).claim(user, id=id, duration=lifetime, **given))
        self.claims[id] = Known(id, user, session, list(dict.fromkeys(joined)), lifetime)

    @precondition(lambda self: self.claims)
    @rule(node=nodes, data=st.data())
    def claim_an_id_in_use(self, node: int, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.claims)))
        reply = self.run(self.api(node).call("POST", "/claim", user="other", id=id))
        assert (reply.status, reply.code) == (400, "CLAIM_ID_ALREADY_USED")

    @precondition(lambda self: self.claims)
    @rule(node=nodes, data=st.data())
    def connect(self, node: int, data: st.DataObject) -> None:
        claim = self.claims.pop(data.draw(st.sampled_from(sorted(self.claims))))
        self.used.append(claim.id)
        client = self.run(self.world.crowd.use(claim.id, node))
        shown = self.run(self.api(node).info(user=claim.user))["connections"]
        (id,) = {one["id"] for one in shown} - set(self.connections)
        self.connections[id] = Known(id, claim.user, claim.session, claim.channels, client=client)

    @precondition(lambda self: self.used)
    @rule(node=nodes, data=st.data())
    def connect_with_a_used_claim(self, node: int, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(self.used))
        assert self.run(self.world.crowd.attempt(id, node)) == MISSING_CLAIM

    @precondition(lambda self: self.connections)
    @rule(data=st.data())
    def client_leaves(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.connections)))
        connection = self.connections.pop(id)
        self.run(self.leave(connection))

    @rule()
    def time_passes(self) -> None:
        over = {id for id, claim in self.claims.items() if claim.lifetime == SHORT}
        self.world.wait_for_end_of(dict.fromkeys(over, SHORT), self.redis)
        self.spend(over)

    # --- commands ------------------------------------------------------------------------

    @rule(node=nodes, words=words)
    def send(self, node: int, words: Words) -> None:
        target, query = self.target(words)
        self.count += 1
        reply = self.run(self.api(node).send(str(self.count), **query))
        self.check(reply, matched := self.matched(target))
        for connection in matched:
            connection.unread.append(str(self.count))

    @rule(node=nodes, words=words, channel=channels, subscribed=st.booleans(), kept=st.booleans())
    def move(self, node: int, words: Words, channel: str, subscribed: bool, kept: bool) -> None:
        target, query = self.target(words)
        path = f"/channel/{'' if subscribed else 'un'}subscribe/{self.prefix}{channel}"
        flag = {"ignoreClaims": "true"} if kept else {}
        reply = self.run(self.api(node).call("POST", path, **query, **flag))
        self.check(reply, matched := self.matched(target))
        for one in matched + ([] if kept else self.claimed(target)):
            one.move(self.prefix + channel, subscribed)

    @rule(node=nodes, words=words, kept=st.booleans())
    def disconnect(self, node: int, words: Words, kept: bool) -> None:
        target, query = self.target(words)
        flag = {"keepClaims": "true"} if kept else {}
        reply = self.run(self.api(node).disconnect(**query, **flag))
        self.check(reply, matched := self.matched(target))
        for connection in matched:
            self.read_until_goodbye(self.connections.pop(connection.id))
        if not kept:
            self.spend({claim.id for claim in self.claimed(target)})

    @rule(node=nodes, words=words)
    def info(self, node: int, words: Words) -> None:
        target, query = self.target(words)
        info = self.run(self.api(node).info(**query))
        assert shown(info["connections"]) == by_id(self.matched(target))
        assert shown(info["claims"]) == by_id(self.claimed(target))

    def teardown(self) -> None:
        """Nobody has received anything but what was sent to it, in order."""
        for connection in self.connections.values():
            self.run(self.world.cluster.api.disconnect(id=connection.id))
            self.read_until_goodbye(connection)
        self.run(self.world.crowd.leave())

    # --- help ----------------------------------------------------------------------------

    def run(self, step: Any) -> Any:
        return self.world.run(step)

    def api(self, node: int) -> Caller:
        return self.world.cluster.apis[node]

    def target(self, words: Words) -> tuple[Target, dict[str, str]]:
        """What the words of a target mean in this example, and the query that says it."""
        kind, name, session = words
        if kind == "id":
            known = sorted(self.connections)
            id = known[name] if name < len(known) else f"{self.prefix}nobody"
            return ToConnection(id), {"id": id}
        name = self.prefix + name
        if kind == "channel":
            return ToChannel(name), {"channel": name}
        return ToUser(name, session), {"user": name, **({"session": session} if session else {})}

    def matched(self, target: Target) -> list[Known]:
        return [one for one in self.connections.values() if target.selects(one)]

    def claimed(self, target: Target) -> list[Known]:
        if isinstance(target, ToConnection):
            return []
        return [one for one in self.claims.values() if target.selects(one)]

    def spend(self, ids: Iterable[str]) -> None:
        for id in sorted(ids):
            del self.claims[id]
            self.used.append(id)

    def check(self, reply: Reply, matched: list[Known]) -> None:
        assert reply.status == 200, reply
        report = reply.report
        counts = (report["connections"], report["dropped"], report["unanswered"])
        assert counts == (len(matched), 0, 0)

    def read_until_goodbye(self, connection: Known) -> None:
        assert connection.client
        assert self.run(connection.client.take(len(connection.unread))) == connection.unread
        assert self.run(connection.client.goodbye()) == 1000

    async def leave(self, connection: Known) -> None:
        assert connection.client
        assert await connection.client.take(len(connection.unread)) == connection.unread
        await connection.client.leave()
        await eventually(lambda: self.is_gone(connection))

    async def is_gone(self, connection: Known) -> bool:
        info = await self.api(0).info(id=connection.id)
        return len(info["connections"]) == 0


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    extra = ("worker", "lastPing", "expiration")
    rows = [{k: v for k, v in row.items() if k not in extra} for row in rows]
    return sorted(rows, key=lambda row: str(row["id"]))


def by_id(known: list[Known]) -> list[dict[str, Any]]:
    return [one.shown() for one in sorted(known, key=lambda one: one.id)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_broker_does_what_the_model_says(request: pytest.FixtureRequest, backend: str) -> None:
    redis = None if backend == "memory" else request.getfixturevalue("redis")
    with world_of(redis, **(direct() if backend == "direct" else {})) as world:

        class Here(Broker):
            def __init__(self) -> None:
                super().__init__(world, redis)

        run_state_machine_as_test(Here, settings=BOUNDED)
    assert world.rounds >= BOUNDED.max_examples
