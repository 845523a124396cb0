"""Promises 7 and 8: the network between a worker and Redis loses all packets for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from dsock.backends.redis.watch import DOUBT
from tests.faults.support import HELD_UP, all_ready, clients, goodbye, keys, of_method, ready, shown
from tests.support.cluster import JWT_SECRET, Caller, Cluster, node_up
from tests.support.eventually import eventually, holds_within
from tests.support.network import Cut, Network, network
from tests.support.process import DSOCK, process
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.parametrize("what", ["both ways", "what it says", "what it hears"])

NOTICED, BACK = 5.0, 5.0

LEASE, SHORT_LEASE = 10.0, 5.0
GONE_WITHIN = 3 * SHORT_LEASE
"""The lease, and the looks and beats that come on top of it."""

LATE = 10.0
"""Seconds in which a network that is whole again may still bring what was said before."""

FEW = 3


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network() as net:
        yield net


@pytest.fixture(scope="module")
def server_here(net: Network) -> Iterator[RedisServer]:
    with RedisServer("--bind", f"127.0.0.1 {net.here}", "--protected-mode", "no") as server:
        # While it is fresh every worker is told everything.
        server.wait_for_uptime(DOUBT)
        yield server


@pytest.fixture
def server(net: Network, server_here: RedisServer) -> Iterator[RedisServer]:
    """A Redis on the near side of the network, to which nothing is lost yet."""
    server_here.empty()
    yield server_here
    net.mend()


class Far:
    """A worker on the far side. `cluster` has it, and an API beside Redis."""

    def __init__(self, cluster: Cluster, net: Network, server: RedisServer) -> None:
        self.cluster = cluster
        self._net, self._server = net, server

    def lose(self, what: Cut) -> None:
        """Lose packets between it and Redis."""
        self._net.cut(self._server.port, what)

    async def unready(self) -> None:
        """Wait until it says that it is not ready; the API is all the time."""

        async def is_unready() -> bool:
            worker, api = await ready(self.cluster)
            # Unless the machine has held up its look, which it makes once a second.
            assert api or await holds_within(self._api_is_ready, HELD_UP)
            return not worker

        await eventually(is_unready, NOTICED)

    async def _api_is_ready(self) -> bool:
        return (await ready(self.cluster))[1]

    async def gone(self) -> None:
        """Wait until its lease has ended, and nothing is left of it."""
        await eventually(
            lambda: not any("worker" in key for key in keys(self._server)), GONE_WITHIN
        )

    async def mend(self) -> None:
        """Lose nothing any more; returns once it is ready."""
        self._net.mend()
        await eventually(lambda: all_ready(self.cluster), BACK)


@asynccontextmanager
async def far_worker(net: Network, server: RedisServer, lease: float) -> AsyncIterator[Far]:
    at = {"host": "0.0.0.0", "redis_host": f"{net.here}:{server.port}"}
    given = {**of_method(), "direct_message_hostname": net.there, "worker_lease": f"{lease}s"}
    options: dict[str, Any] = {**of_method(), "report_timeout": 0.5, "worker_lease": lease}
    async with (
        node_up("api", redis_host=server.address, **options) as (node, address),
        process("worker", command=(*net.enter, *DSOCK), **given, **at) as worker,
    ):
        _, _, port = (await worker.listening()).rpartition(":")
        caller = Caller(f"http://{address}")
        async with caller.http:
            cluster = Cluster("redis", [caller], [f"{net.there}:{port}"], [node])
            await eventually(lambda: all_ready(cluster))
            yield Far(cluster, net, server)


async def connections(cluster: Cluster, user: str) -> set[tuple[str, str]]:
    """What `/info` shows: ids, and workers."""
    found = (await cluster.api.info(user=user))["connections"]
    return {(one["id"], one["worker"]) for one in found}


@pytest.mark.usefixtures("method")
async def test_a_worker_that_is_cut_off_for_less_than_its_lease_has_nothing_to_repair(
    net: Network, server: RedisServer, what: Cut
) -> None:
    async with (
        far_worker(net, server, LEASE) as far,
        clients(far.cluster, FEW, "u", session="s", channels="news") as listeners,
    ):
        cluster = far.cluster
        await eventually(lambda: no_claims(server))
        connections_before, keys_before = await connections(cluster, "u"), keys(server)
        far.lose(what)
        await far.unready()
        report = (await cluster.api.send("meanwhile", channel="news")).report
        # Direct messages do not go through Redis.
        took = report["connections"]
        assert (took, report["unanswered"]) in ((0, 1), (FEW, 0))
        assert await refused(cluster, f"claim={await cluster.api.claim('new')}")
        await far.mend()
        assert (await cluster.api.disconnect(user="new")).status == 200
        await eventually(lambda: keys(server) == keys_before)
        assert await connections(cluster, "u") == connections_before
        assert (await cluster.api.send("next", channel="news")).report["connections"] == FEW
        for client in listeners:
            heard = await told_before("next", client)
            assert heard == ["meanwhile"] or (heard == [] and not took)
            assert client.close_code is None


@pytest.mark.usefixtures("method")
async def test_who_was_logged_out_while_a_worker_was_cut_off_for_its_lease_is_out(
    net: Network, server: RedisServer, what: Cut
) -> None:
    async with (
        far_worker(net, server, SHORT_LEASE) as far,
        clients(far.cluster, FEW, "u", session="s", channels="news") as listeners,
    ):
        cluster = far.cluster
        [lost] = {worker for _, worker in await connections(cluster, "u")}
        far.lose(what)
        await far.unready()
        await far.gone()
        assert (await cluster.api.disconnect(user="u")).status == 200
        assert (await cluster.api.send("secret", channel="news")).report["workers"] == 0
        assert all(client.close_code is None for client in listeners)
        await far.mend()
        for client in listeners:
            assert await goodbye(client, within=BACK) == 1012
            with pytest.raises(ConnectionClosedError):
                await client.recv()
        async with cluster.client("u", session="s", channels="news") as again:
            [(_, worker)] = await connections(cluster, "u")
            assert worker != lost
            assert (await cluster.api.send("again", channel="news")).report["connections"] == 1
            assert await again.recv() == "again"
        await eventually(lambda: keys(server) == {"workers", f"worker:{worker}"})


async def test_what_was_said_into_a_dead_network_leaves_no_ghost_when_it_comes_late(
    net: Network, server: RedisServer, what: Cut
) -> None:
    async with far_worker(net, server, SHORT_LEASE) as far:
        cluster = far.cluster
        await eventually(lambda: "workers" in keys(server))
        far.lose(what)
        # What they are recorded with is on its way at once, since no claim has to be read.
        knocking = (refused(cluster, f"jwt={signed('u', channels=['news'])}") for _ in range(FEW))
        assert all(await asyncio.gather(*knocking))
        await far.unready()
        await far.gone()
        await far.mend()
        assert not await holds_within(lambda: not only_workers(server), LATE)
        assert await shown(cluster, "u") == 0


def signed(user: str, **payload: Any) -> str:
    """A JWT that lets in for a minute."""
    return jwt.encode({"sub": user, "exp": int(time.time()) + 60} | payload, JWT_SECRET)


async def refused(cluster: Cluster, credential: str) -> bool:
    """Whether a client is told to come back later."""
    with pytest.raises(InvalidStatus) as told:
        await connect(cluster.url(f"?{credential}"))
    return told.value.response.status_code == 503


async def told_before(last: str, client: ClientConnection) -> list[str]:
    heard = []
    async with asyncio.timeout(BACK):
        while (message := str(await client.recv())) != last:
            heard.append(message)
    return heard


def no_claims(server: RedisServer) -> bool:
    """Whether the claims that were used have been tidied away."""
    return not any(key.startswith("claim") for key in keys(server))


def only_workers(server: RedisServer) -> bool:
    return all(key.partition(":")[0] in ("workers", "worker") for key in keys(server))
