"""Clients and back ends see one node, whichever of its processes they meet."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import jwt
import pytest
from websockets.asyncio.client import connect

from tests.processes.support import Family, api_at, crowd, family, free_ports, get
from tests.support.cluster import JWT_SECRET, TOKEN, Caller
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, free_port

ENOUGH = 24
"""Clients of whom each of two processes gets one: they would all have to be lucky not to."""


@pytest.fixture(params=["redis", "direct"])
def method(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture
async def api(redis: RedisServer, method: str) -> AsyncIterator[Caller]:
    async with api_at(redis, method) as caller:
        yield caller


@pytest.fixture
async def workers(redis: RedisServer, method: str) -> AsyncIterator[Family]:
    async with family("worker", 2, redis, messaging_method=method, token=TOKEN) as workers:
        yield workers


async def test_claims_and_jwts_get_in_on_every_process(api: Caller, workers: Family) -> None:
    async with crowd(api, workers.address, ENOUGH) as by_worker:
        assert len(by_worker) == 2
    token = jwt.encode({"sub": "j", "exp": int(time.time()) + 60}, JWT_SECRET, "HS256")
    found = set()
    for _ in range(ENOUGH):
        async with connect(f"ws://{workers.address}/connect?jwt={token}", proxy=None):
            found |= {one["worker"] for one in (await api.info(user="j"))["connections"]}
    assert found == set(by_worker)


async def test_a_send_to_a_channel_reaches_members_on_all_processes_with_one_report(
    api: Caller, workers: Family
) -> None:
    async with crowd(api, workers.address, ENOUGH, channels="news") as by_worker:
        sent = await api.send("hello", channel="news")
        assert sent.report == {
            "workers": 2,
            "connections": ENOUGH,
            "dropped": 0,
            "unanswered": 0,
        }
        for client in (client for clients in by_worker.values() for client in clients):
            assert await client.recv() == "hello"


async def test_each_process_is_a_worker_of_its_own_and_reached_at_a_port_of_its_own(
    api: Caller, workers: Family, redis: RedisServer, method: str
) -> None:
    async with crowd(api, workers.address, ENOUGH) as by_worker:
        with redis.client() as client:
            ports = {client.hget(f"worker:{id}", "ip") for id in by_worker}
        if method == "redis":
            assert ports == {None}
            return
        assert len(ports) == 2
        assert workers.address not in ports
        for address in ports:
            assert (await get(str(address), "/ping")).text == "pong"
            assert (await get(str(address), "/_/message")).status_code == 405
            assert (await get(str(address), "/metrics")).status_code == 404
        assert (await get(workers.address, "/_/message")).status_code == 404


async def test_with_a_port_for_direct_messages_the_processes_have_those_from_there(
    redis: RedisServer,
) -> None:
    first = free_ports()
    options = {"messaging_method": "direct", "token": TOKEN, "direct_message_port": str(first)}
    async with family("worker", 2, redis, **options), api_at(redis, "direct"):
        with redis.client() as client:
            ids = client.zrange("workers", 0, -1)
            ports = {client.hget(f"worker:{id}", "ip") for id in ids}
    assert ports == {f"127.0.0.1:{first}", f"127.0.0.1:{first + 1}"}


async def test_a_serve_of_several_processes_is_one_api_and_one_worker(redis: RedisServer) -> None:
    async with family("serve", 2, redis) as serve:
        # Each call comes to any of the processes.
        calls = [Caller(f"http://{serve.address}") for _ in range(ENOUGH)]
        async with (
            AsyncExitStack() as stack,
            crowd(calls[0], serve.address, ENOUGH, channels="news") as by_worker,
        ):
            for number, api in enumerate(calls):
                stack.push_async_callback(api.http.aclose)
                sent = await api.send(str(number), channel="news")
                assert (sent.report["workers"], sent.report["connections"]) == (2, ENOUGH)
            for client in (client for clients in by_worker.values() for client in clients):
                assert [await client.recv() for _ in calls] == [str(n) for n in range(len(calls))]


async def test_calls_are_spread_over_the_processes_of_an_api(redis: RedisServer) -> None:
    async with family("api", 2, redis, log_requests="true") as api:
        for _ in range(ENOUGH):
            await get(api.address, "/ping")
        await eventually(lambda: len(api.said("path=/ping")) == ENOUGH)
        for index, pid in api.pids.items():
            assert api.said("path=/ping", f"process={index} pid={pid} ")


async def test_an_internal_port_is_shared_too(redis: RedisServer) -> None:
    port = free_port()
    async with family("worker", 2, redis, internal_port=str(port)) as workers:
        assert (await get(workers.address, "/metrics")).status_code == 404
        for _ in range(ENOUGH):
            assert (await get(f"127.0.0.1:{port}", "/ready")).status_code == 200
