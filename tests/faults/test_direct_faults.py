"""Direct messaging where a worker is dead, stands still, or is set to something else."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.faults.support import clients
from tests.support.cluster import TOKEN, Caller, Cluster, direct, node_up
from tests.support.eventually import eventually
from tests.support.process import Process, process, processes
from tests.support.redis_server import RedisServer
from tests.support.together import together

REPORT_TIMEOUT = 2.5
"""Seconds; no machine is so busy that who is there does not answer within that."""

LEASE = 7.0
"""Longer than somebody stands still here, and a beat and a busy machine on top."""

SHORT, LONG = 0.5, 10.0
"""Seconds for which an API waits who gives up, and one who does not."""

DIRECT = {"messaging_method": "direct", "direct_message_hostname": "127.0.0.1"}


@asynccontextmanager
async def cluster_of(
    server: RedisServer, workers: int
) -> AsyncIterator[tuple[Cluster, list[Process]]]:
    """An API in this process, and workers that can be killed."""
    api = node_up(
        "api",
        redis_host=server.address,
        worker_lease=LEASE,
        report_timeout=REPORT_TIMEOUT,
        **direct(),
    )
    given = {"redis_host": server.address, "worker_lease": f"{LEASE}s", "token": TOKEN, **DIRECT}
    async with api as (node, address), processes(workers, "worker", **given) as started:
        caller = Caller(f"http://{address}")
        async with caller.http:
            addresses = [await one.listening() for one in started]
            yield Cluster("direct", [caller], addresses, [node]), started


async def test_b70_b74_a_killed_worker_is_unanswered_until_its_lease_ends(
    redis: RedisServer,
) -> None:
    async with (
        cluster_of(redis, 2) as (cluster, (doomed, _)),
        clients(cluster, 3, "lost", worker=0, channels="news"),
        clients(cluster, 2, "safe", worker=1, channels="news") as safe,
    ):
        assert (await cluster.api.send("0", channel="news")).report["connections"] == 5
        await doomed.kill()
        loop = asyncio.get_running_loop()
        began = loop.time()
        sent = await cluster.api.send("1", channel="news")
        # Nobody listens there: it is known at once.
        assert loop.time() - began < REPORT_TIMEOUT
        assert (sent.report["unanswered"], sent.report["connections"]) == (1, 2)
        assert (await cluster.api.disconnect(user="lost")).code == "WORKER_UNANSWERED"

        async def gone() -> bool:
            return (await cluster.api.disconnect(user="lost")).status == 200

        await eventually(gone, LEASE + 8)
        assert (await cluster.api.send("2", channel="news")).report["workers"] == 1
        for client in safe:
            assert [await client.recv() for _ in range(3)] == ["0", "1", "2"]


async def test_b70_b72_a_worker_that_stands_still_holds_up_nobody_and_mixes_up_nothing(
    redis: RedisServer,
) -> None:
    async with (
        cluster_of(redis, 2) as (cluster, (still, _)),
        cluster.client("slow", 0, channels="news") as slow,
        cluster.client("fast", 1, channels="news") as fast,
    ):
        assert (await cluster.api.send("0", channel="news")).report["connections"] == 2
        still.stop()
        loop = asyncio.get_running_loop()
        began = loop.time()
        replies = await asyncio.gather(
            *(cluster.api.send(str(number), channel="news") for number in range(1, 6))
        )
        # For the others nothing waited, nor one for the other.
        assert loop.time() - began < 2 * REPORT_TIMEOUT
        assert [reply.report for reply in replies] == [
            {"workers": 2, "connections": 1, "dropped": 0, "unanswered": 1}
        ] * 5
        still.go_on()

        async def back() -> bool:
            return (await cluster.api.send("end", channel="news")).report["connections"] == 2

        await eventually(back)
        heard = [await fast.recv() for _ in range(6)]
        assert sorted(heard) == [str(number) for number in range(6)]
        late = []
        while (message := await slow.recv()) != "end":
            late.append(message)
        # What it still had in its socket may have come; nothing out of order or twice.
        assert late == [message for message in heard if message in late]
        assert len(late) == len(set(late))


@pytest.mark.parametrize(("api", "worker"), [("direct", "redis"), ("redis", "direct")])
async def test_an_api_and_a_worker_that_disagree_on_the_method_both_say_so_and_go_on(
    redis: RedisServer, api: str, worker: str
) -> None:
    def options(method: str) -> dict[str, str]:
        return {**DIRECT, "messaging_method": method, "redis_host": redis.address, "token": TOKEN}

    async with (
        process("worker", **options(worker)) as one,
        process("api", report_timeout=f"{LONG}s", **options(api)) as other,
    ):
        caller = Caller(f"http://{await other.listening()}")
        cluster = Cluster(api, [caller], [await one.listening()], [])
        async with caller.http, cluster.client("user") as client:
            assert (await caller.send("hello", user="user")).report["connections"] == 1
            assert await client.recv() == "hello"
            assert (await caller.subscribe("news", user="user")).report["connections"] == 1

            def said(process: Process, here: str, there: str) -> bool:
                words = ("different messaging methods", f"here={here}", f"there={there}")
                return any(all(word in line for word in words) for line in process.log)

            await eventually(lambda: said(one, worker, api) and said(other, api, worker))


@pytest.mark.parametrize("method", ["redis", "direct"])
async def test_what_one_api_has_given_up_does_not_undo_what_another_did_since(
    redis: RedisServer, method: str
) -> None:
    options: dict[str, Any] = {"redis_host": redis.address, **DIRECT, "messaging_method": method}
    apis = [node_up("api", report_timeout=timeout, **options) for timeout in (SHORT, LONG)]
    async with (
        together(*apis) as up,
        process("worker", token=TOKEN, **options) as worker,
    ):
        first, second = (Caller(f"http://{address}") for _, address in up)
        cluster = Cluster(method, [first, second], [await worker.listening()], [])
        async with first.http, second.http, cluster.client("u") as client:
            assert (await second.send("0", user="u")).report["connections"] == 1
            worker.stop()
            assert (await first.send("1", user="u")).report["unanswered"] == 1
            assert (await first.subscribe("news", user="u")).status == 504
            began = asyncio.gather(second.send("2", user="u"), second.unsubscribe("news", user="u"))
            await asyncio.wait((began,), timeout=SHORT / 4)
            worker.go_on()
            sent, unsubscribed = await began

            async def back() -> bool:
                return (await second.send("end", user="u")).report["connections"] == 1

            await eventually(back)
            heard = []
            while (message := await client.recv()) != "end":
                heard.append(message)
            assert heard == sorted(heard)
            if sent.report["connections"]:
                assert "2" in heard
            if unsubscribed.status == 200:
                [shown] = (await second.info(user="u"))["connections"]
                assert shown["channels"] == []


@pytest.mark.parametrize("method", ["redis", "direct"])
async def test_a_worker_that_leaves_in_good_order_is_missed_by_nobody(
    redis: RedisServer, method: str
) -> None:
    options: dict[str, Any] = {"redis_host": redis.address, **DIRECT, "messaging_method": method}
    async with (
        node_up("api", report_timeout=LONG, **options) as (_, api),
        processes(2, "worker", token=TOKEN, drain_duration="200ms", **options) as workers,
    ):
        leaving, staying = workers
        caller = Caller(f"http://{api}")
        addresses = [await leaving.listening(), await staying.listening()]
        cluster = Cluster(method, [caller], addresses, [])
        async with (
            caller.http,
            cluster.client("u", 0, channels="news"),
            cluster.client("u", 1, channels="news"),
        ):
            assert (await caller.send("0", channel="news")).report["connections"] == 2
            leaving.signal(signal.SIGTERM)
            ended = asyncio.create_task(leaving.ended())
            statuses, path = set(), "/channel/subscribe/sport"
            while not ended.done():
                statuses.add((await caller.call("POST", path, channel="news")).status)
            # The last of them may be from before the goodbye.
            reply = await caller.call("POST", path, channel="news")
            assert statuses | {reply.status} == {200}
            assert reply.report["connections"] == 1


@pytest.mark.parametrize("method", ["redis", "direct"])
async def test_who_wants_no_report_does_not_wait_for_a_worker_that_stands_still(
    redis: RedisServer, method: str
) -> None:
    options: dict[str, Any] = {"redis_host": redis.address, **DIRECT, "messaging_method": method}
    async with (
        node_up("api", report_timeout=LONG, **options) as (_, api),
        process("worker", token=TOKEN, **options) as worker,
    ):
        caller = Caller(f"http://{api}")
        cluster = Cluster(method, [caller], [await worker.listening()], [])
        async with caller.http, cluster.client("u") as client:
            assert (await caller.send("0", user="u")).report["connections"] == 1
            worker.stop()
            async with asyncio.timeout(LONG / 2):
                reply = await caller.send("1", user="u", report="false")
            assert reply.report == {"workers": 1}
            worker.go_on()
            assert [await client.recv() for _ in range(2)] == ["0", "1"]
