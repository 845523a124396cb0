"""Promise 8: Redis may come and go, hang, forget and refuse; nobody is told what is not so."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from dsock.backends.redis import mailbox
from dsock.backends.redis.membership import RedisMembership
from dsock.node import Role
from tests.faults.proxy import SUBSCRIBES, Proxy, proxy_to
from tests.faults.support import (
    EACH,
    Teller,
    all_ready,
    audience,
    cluster_at,
    goodbye,
    keys,
    none_ready,
    of_method,
    shown,
)
from tests.support.cluster import Caller, Cluster, node_up
from tests.support.eventually import eventually, holds_within
from tests.support.process import process
from tests.support.redis_server import RedisServer, free_port

pytestmark = pytest.mark.usefixtures("method")

NOTICED = 5.0
DELIVERY_BACK, RECORDS_BACK = 2.0, 5.0

REPORT_TIMEOUT = 0.5
"""Seconds. One message whose answer is lost does not use up the time in which delivery is back."""

FOUND_OUT, NOT_FOUND_OUT = 15.0, 7.0
"""Seconds within which a probe finds who is deaf, however busy the machine, and in which nobody
does without one."""

PATIENCE = 3.0
"""Seconds for which a call waits for a subscription."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def proxy(server: RedisServer) -> AsyncIterator[Proxy]:
    async with proxy_to(server.port) as proxy:
        yield proxy


async def all_shown(cluster: Cluster) -> bool:
    return await shown(cluster, "u") == 2 * EACH


@pytest.mark.parametrize("long", [False, True])
async def test_b28_a_redis_that_is_back_empty_is_in_use_again(
    server: RedisServer, long: bool
) -> None:
    at = cluster_at(server.address, report_timeout=REPORT_TIMEOUT)
    async with at as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        server.kill()
        if long:
            await eventually(lambda: none_ready(cluster), NOTICED)
            await teller.tell()
            assert teller.statuses == {503}
        server.start()
        loop = asyncio.get_running_loop()
        start = loop.time()
        await eventually(teller.tell, DELIVERY_BACK)
        if long:
            # Who calls before anything was missed may be told 503 a while longer.
            assert loop.time() - start < DELIVERY_BACK
        await eventually(lambda: all_ready(cluster), RECORDS_BACK)
        assert await all_shown(cluster)
        assert loop.time() - start < RECORDS_BACK
        await teller.check()
        assert all(client.close_code is None for client in listeners)


async def test_b53_b62_b66_without_redis_every_call_is_a_503(server: RedisServer) -> None:
    async with cluster_at(server.address) as cluster, cluster.client("u") as client:
        server.kill()
        api = cluster.api
        refused = {
            api.send("x", user="u"): "ERROR_GETTING_USER",
            api.send("x", channel="news"): "ERROR_GETTING_CHANNEL",
            api.send("x", id="0"): "ERROR_GETTING_CONNECTION",
            api.disconnect(user="u"): "ERROR_GETTING_CLAIM",
            api.disconnect(user="u", keepClaims="true"): "ERROR_GETTING_USER",
            api.subscribe("news", user="u"): "ERROR_GETTING_CLAIM",
            api.unsubscribe("news", user="u", ignoreClaims="true"): "ERROR_GETTING_USER",
            api.call("POST", "/claim", user="u"): "ERROR_CHECKING_CLAIM",
            api.call("GET", "/info", channel="news"): "ERROR_GETTING_CHANNEL",
        }
        replies = await asyncio.gather(*refused)
        assert [reply.code for reply in replies] == list(refused.values())
        assert {(reply.status, reply.json["success"]) for reply in replies} == {(503, False)}
        assert client.close_code is None


async def is_now(status: Callable[[], Awaitable[int]], wanted: int) -> bool:
    now = await status()
    assert now in (wanted, 503, 504)
    return now == wanted


@pytest.mark.parametrize("verb", ["disconnect", "subscribe"])
async def test_a_command_before_the_worker_has_announced_itself_is_no_false_success(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    announced = asyncio.Event()
    announced.set()
    announce = RedisMembership._announce

    async def held(membership: RedisMembership) -> None:
        await announced.wait()
        await announce(membership)

    monkeypatch.setattr(RedisMembership, "_announce", held)
    async with cluster_at(server.address) as cluster, cluster.client("u") as client:
        announced.clear()
        server.kill()
        server.start()

        async def status() -> int:
            if verb == "disconnect":
                return (await cluster.api.disconnect(user="u")).status
            return (await cluster.api.subscribe("n", user="u")).status

        # The worker has it, but cannot promise that Redis has.
        await eventually(lambda: is_now(status, 504))
        assert await status() == 504
        announced.set()
        await eventually(lambda: is_now(status, 200))
        if verb == "disconnect":
            assert await goodbye(client, within=1) == 1000
        else:
            assert (await cluster.api.send("x", channel="n")).report["connections"] == 1
            assert await client.recv() == "x"
        await eventually(lambda: all_ready(cluster))
        assert await shown(cluster, "u") == (verb != "disconnect")


@pytest.mark.parametrize("long", [False, True])
async def test_a_redis_that_hangs_is_noticed_and_nothing_comes_twice(
    server: RedisServer, long: bool
) -> None:
    at = cluster_at(server.address, report_timeout=REPORT_TIMEOUT)
    async with at as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        async with teller.telling():
            await eventually(lambda: len(teller.counted) > 10)
            server.freeze()
            if long:
                await eventually(lambda: none_ready(cluster), NOTICED)
                await eventually(lambda: 503 in teller.statuses)
            else:
                assert not await holds_within(lambda: 503 in teller.statuses, 1)
            server.thaw()
            await eventually(lambda: all_ready(cluster), RECORDS_BACK)
        await eventually(teller.tell, DELIVERY_BACK)
        await teller.check()
        assert await all_shown(cluster)
        assert all(client.close_code is None for client in listeners)


async def hears_again(cluster: Cluster, teller: Teller, within: float) -> bool:
    """The check: whether all that are deaf find out, and hear again by themselves."""

    async def hears() -> bool:
        return await teller.tell() and await all_ready(cluster)

    return await holds_within(hears, within)


def end_the_latest_subscription(server: RedisServer) -> None:
    with server.client() as client:
        latest = max(int(one["id"]) for one in client.client_list(_type="pubsub"))
        client.client_kill_filter(_id=latest)


async def test_a_call_waits_for_an_api_that_is_subscribing_anew_but_not_for_long(
    server: RedisServer, proxy: Proxy
) -> None:
    async with (
        cluster_at(server.address) as cluster,
        audience(cluster) as listeners,
        node_up("api", redis_host=proxy.address, redis_timeout=PATIENCE, **of_method()) as (_, at),
        Caller(f"http://{at}").http as http,
    ):

        async def is_ready() -> bool:
            return (await http.get("/ready")).status_code == 200

        async def is_not_ready() -> bool:
            return not await is_ready()

        async def send() -> dict[str, Any]:
            answer = await http.post("/send?type=text&channel=news", content=b"x")
            return {"status": answer.status_code, **answer.json().get("report", {})}

        await eventually(is_ready)
        # It goes on asking on the connections that it has, but gets no other.
        proxy.port = free_port()
        end_the_latest_subscription(server)
        await eventually(is_not_ready)
        waiting = [asyncio.create_task(send()) for _ in range(3)]
        assert not await holds_within(lambda: any(call.done() for call in waiting), 0.1)
        proxy.port = server.port
        for answer in await asyncio.gather(*waiting):
            assert (answer["status"], answer["connections"]) == (200, len(listeners))

        await eventually(is_ready)
        proxy.port = free_port()
        end_the_latest_subscription(server)
        await eventually(is_not_ready)
        assert (await send())["status"] == 503
        begun = asyncio.get_running_loop().time()
        assert (await send())["status"] == 503
        assert asyncio.get_running_loop().time() - begun < PATIENCE / 2


@pytest.mark.parametrize("probes", [True, False])
async def test_b28_only_the_probe_finds_a_subscription_that_went_deaf(
    server: RedisServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, probes: bool
) -> None:
    at = cluster_at(proxy.address, report_timeout=REPORT_TIMEOUT)
    async with at as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        await eventually(teller.tell)
        if not probes:
            monkeypatch.setattr(mailbox, "DEAF_AFTER", 3600.0)
        assert proxy.hush(only=SUBSCRIBES) == 3
        assert not await teller.tell()
        assert (await cluster.api.disconnect(user="u")).code == "WORKER_UNANSWERED"
        within = FOUND_OUT if probes else NOT_FOUND_OUT
        assert await hears_again(cluster, teller, within) is probes
        if probes:
            assert await all_shown(cluster)
            await teller.check()


@pytest.mark.parametrize("probes", [True, False])
async def test_b28_only_the_probe_finds_a_redis_that_was_replaced_while_it_hung(
    server: RedisServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, probes: bool
) -> None:
    at = cluster_at(proxy.address, report_timeout=REPORT_TIMEOUT)
    async with at as cluster, audience(cluster) as listeners:
        teller = Teller(cluster, listeners)
        await eventually(teller.tell)
        if not probes:
            monkeypatch.setattr(mailbox, "DEAF_AFTER", 3600.0)
        with RedisServer() as other:
            server.freeze()
            proxy.port = other.port
            within = FOUND_OUT if probes else NOT_FOUND_OUT
            assert await hears_again(cluster, teller, within) is probes
            if probes:
                assert await all_shown(cluster)
                await teller.check()


async def test_b24_who_leaves_while_redis_is_out_of_reach_leaves_nothing_behind(
    server: RedisServer, proxy: Proxy
) -> None:
    async with cluster_at(proxy.address) as cluster:
        async with audience(cluster):
            proxy.port = free_port()
            proxy.cut()
            await eventually(lambda: none_ready(cluster), NOTICED)
        proxy.port = server.port
        await eventually(lambda: all_ready(cluster), RECORDS_BACK)

        def only_workers() -> bool:
            return all(key.partition(":")[0] in ("workers", "worker") for key in keys(server))

        await eventually(only_workers, RECORDS_BACK)


@pytest.mark.parametrize("command", ["del", "sadd", "hset", "pexpire"])
async def test_b02_b27_a_client_of_whom_redis_refuses_a_part_stays_out(
    server: RedisServer, command: str
) -> None:
    async with cluster_at(server.address) as cluster:
        before = keys(server)
        claim = await cluster.api.claim("u", session="s", channels="news")
        with server.client() as redis:
            redis.execute_command("ACL", "SETUSER", "default", f"-{command}")
            with pytest.raises(InvalidStatus) as refused:
                await connect(cluster.url(f"?claim={claim}"))
            redis.execute_command("ACL", "SETUSER", "default", f"+{command}")
        assert refused.value.response.status_code == 503
        await eventually(lambda: all_ready(cluster))
        assert await shown(cluster, "u") == 0
        if command in ("del", "hset"):
            # It could not be used up, so it still lets in.
            async with connect(cluster.url(f"?claim={claim}")):
                assert await shown(cluster, "u") == 1
        await eventually(lambda: keys(server) == before)


async def test_a_redis_that_takes_no_writes_is_no_false_success(server: RedisServer) -> None:
    async with cluster_at(server.address) as cluster, cluster.client("u") as client:
        with server.client() as redis:
            kept = await cluster.api.claim("new")
            redis.config_set("maxmemory", 1)
            with pytest.raises(InvalidStatus) as refusal:
                await connect(cluster.url(f"?claim={kept}"))
            assert refusal.value.response.status_code == 503
            assert redis.exists(f"claim:{kept}")
            claim = await cluster.api.call("POST", "/claim", user="u")
            assert (claim.status, claim.code) == (503, "ERROR_CHECKING_CLAIM")
            assert (await cluster.api.subscribe("news", user="u")).status in (503, 504)
            sent = await cluster.api.send("x", user="u")
            assert (sent.status, sent.report["connections"]) == (200, 1)
            assert await client.recv() == "x"
            redis.config_set("maxmemory", 0)

        async def subscribed() -> bool:
            return (await cluster.api.subscribe("news", user="u")).status == 200

        await eventually(subscribed)
        assert (await cluster.api.send("y", channel="news")).report["connections"] == 1
        assert await client.recv() == "y"
        await eventually(lambda: all_ready(cluster))
        async with cluster.client("u"):
            assert await shown(cluster, "u") == 2


async def test_open_sockets_outlive_a_redis_that_takes_no_writes_for_a_whole_lease(
    server: RedisServer,
) -> None:
    lease = 2.0
    async with (
        cluster_at(server.address, worker_lease=lease) as cluster,
        audience(cluster) as listeners,
    ):

        def somebody_left() -> bool:
            return any(client.close_code is not None for client in listeners)

        with server.client() as redis:
            redis.config_set("maxmemory", 1)
            assert not await holds_within(somebody_left, 2 * lease)
            redis.config_set("maxmemory", 0)
        await eventually(lambda: all_ready(cluster), RECORDS_BACK)
        # Whoever declares somebody gone does so at its next look, and is found out at the
        # next beat.
        assert not await holds_within(somebody_left, 2.5)


async def test_a_redis_that_takes_no_writes_is_not_pressed(server: RedisServer) -> None:
    async with cluster_at(server.address):
        with server.client() as redis:
            redis.config_set("maxmemory", 1)
            loop = asyncio.get_running_loop()
            before, start = server.commands(), loop.time()
            await asyncio.sleep(2)
            # Three nodes that look, probe and beat, or try to, and perhaps announce.
            assert server.commands() - before < 75 * (loop.time() - start)


@pytest.mark.parametrize("moment", ["claim", "beat"])
async def test_b78_what_fails_with_redis_is_heard_by_somebody(
    server: RedisServer, moment: str
) -> None:
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: unheard.append(context["message"])
    )
    async with cluster_at(server.address) as cluster:
        with server.client() as redis:
            refused = ("-sadd", "-hset") if moment == "claim" else ("-exists", "-zadd")
            redis.execute_command("ACL", "SETUSER", "default", *refused)
            if moment == "claim":
                claim = await cluster.api.call("POST", "/claim", user="u")
                assert claim.code == "ERROR_CHECKING_CLAIM"
            else:
                await eventually(lambda: refusals(server, "exists") >= 2)
    gc.collect()
    assert unheard == []


def refusals(server: RedisServer, command: str) -> int:
    with server.client() as client:
        calls = client.info("commandstats").get(f"cmdstat_{command}", {})
        return int(calls.get("rejected_calls", 0))


@pytest.mark.parametrize("role", ["api", "worker", "serve"])
@pytest.mark.parametrize("hangs", [False, True])
async def test_b81_a_node_that_cannot_reach_redis_does_not_start(
    server: RedisServer, role: Role, hangs: bool
) -> None:
    address = server.address if hangs else f"127.0.0.1:{free_port()}"
    if hangs:
        server.freeze()
    async with process(role, redis_host=address, redis_timeout="300ms") as node:
        assert await node.ended() == 2
    assert node.log == [line for line in node.log if line.startswith(f"dsock {role}: cannot reach")]
    assert len(node.log) == 1
