"""A process may die or stand still: those of the others do not notice, and it is replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.faults.support import goodbye
from tests.processes.support import Family, api_at, crowd, family, figure, get, is_alive, patched
from tests.support.cluster import TOKEN, Caller
from tests.support.eventually import eventually
from tests.support.process import DSOCK
from tests.support.redis_server import RedisServer
from tests.support.wire import Wire, dial, request

ENOUGH = 24

QUICK = patched(supervisor__HUNG=4)
"""Patience with a process that stands still."""

HELD = """
import asyncio, contextlib, os, sys
import dsock.cli
from dsock.backends.redis.backend import RedisBackend
open = RedisBackend.open
@contextlib.asynccontextmanager
async def held(*arguments, **options):
    while os.path.exists({hold!r}):
        await asyncio.sleep(0.02)
        print("a process only starts", file=sys.stderr, flush=True)
    async with open(*arguments, **options) as backend:
        yield backend
RedisBackend.open = held
sys.exit(dsock.cli.main())
"""
"""The command `dsock`: while there is such a file, Redis seems not to answer."""


async def pid_of(api: Caller, workers: Family, clients: list[ClientConnection]) -> tuple[int, int]:
    """Index and pid of the process that holds these clients, by its sockets' other ends."""
    ports = {client.local_address[1] for client in clients}
    for index, pid in workers.pids.items():
        if ports & peers_of(pid):
            return index, pid
    raise AssertionError("nobody holds them")


def peers_of(pid: int) -> set[int]:
    """The ports to which this process is connected over IPv4."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        target = os.readlink(f"/proc/{pid}/fd/{name}")
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    with open(f"/proc/{pid}/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return {int(row[2].partition(":")[2], 16) for row in rows if row[9] in inodes}


@pytest.mark.parametrize("method", ["redis", "direct"])
async def test_who_was_with_a_killed_process_comes_back_and_nobody_else_notices(
    redis: RedisServer, method: str
) -> None:
    options = {"messaging_method": method, "token": TOKEN}
    async with (
        api_at(redis, method) as api,
        family("worker", 2, redis, **options) as workers,
        crowd(api, workers.address, ENOUGH, channels="news") as by_worker,
    ):
        (doomed, lost), (_, kept) = by_worker.items()
        index, pid = await pid_of(api, workers, lost)
        os.kill(pid, signal.SIGKILL)
        for client in lost:
            with pytest.raises(ConnectionClosed):
                await client.recv()
        assert "signal SIGKILL" in await workers.says("process ended", f"process={index} pid={pid}")
        await workers.replaced(index, pid)

        def forgotten() -> bool:
            with redis.client() as client:
                left = client.keys(f"*{doomed}*")
                left += list(client.keys("conn:*"))
                return len(left) == len(kept) + 1 and f"reaped:{doomed}" in left

        await eventually(forgotten, 20)
        async with crowd(api, workers.address, ENOUGH, "again", channels="news") as back:
            assert set(back) - set(by_worker)
            sent = await api.send("on", channel="news")
            assert (sent.report["connections"], sent.report["unanswered"]) == (
                len(kept) + ENOUGH,
                0,
            )
            for client in kept:
                assert await client.recv() == "on"


async def test_who_waits_at_the_door_of_a_killed_process_is_served_by_the_next(
    redis: RedisServer,
) -> None:
    async with family("worker", 2, redis) as workers, AsyncExitStack() as stack:
        pid = workers.pids[1]
        os.kill(pid, signal.SIGSTOP)
        answered: set[Wire] = set()

        async def ask() -> Wire:
            wire = await stack.enter_async_context(dial(workers.address))
            await wire.send(request("GET", "/ping"))
            assert (await wire.response()).body == b"pong"
            answered.add(wire)
            return wire

        asked = [asyncio.create_task(ask()) for _ in range(2 * ENOUGH)]
        # Those of the other process have an answer, and after them comes one more of it.
        await eventually(lambda: len(answered) >= ENOUGH // 2)
        assert len(answered) < len(asked)
        os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*asked)


async def test_a_process_that_stands_still_is_killed_and_replaced(redis: RedisServer) -> None:
    async with family("worker", 2, redis, QUICK) as workers:
        pid, other = workers.pids[0], workers.pids[1]
        os.kill(pid, signal.SIGSTOP)
        await workers.says("stands still: killing it", f"process=0 pid={pid}")
        await workers.says("process ended", "no beat for 4 s")
        assert not is_alive(pid)
        await workers.replaced(0, pid)
        assert workers.pids[1] == other
        assert len(workers.said("process ended")) == 1


async def test_a_loop_that_turns_no_more_is_noticed_too(redis: RedisServer) -> None:
    # The first connection holds the loop: the process itself runs, and never ends.
    command = (
        *QUICK[:2],
        "import dsock.http.protocol as p\n"
        "def hold(*_):\n while True: pass\n"
        "p.HttpProtocol.connection_made = hold\n" + QUICK[2],
    )
    async with family("worker", 2, redis, command) as workers, dial(workers.address):
        await workers.says("process ended", "no beat for 4 s")


async def test_the_node_is_not_ready_while_a_process_is_missing_or_stands_still(
    redis: RedisServer,
) -> None:
    async with family("worker", 2, redis, patched(board__STILL=3)) as workers:
        pid = workers.pids[0]

        async def of_the_other() -> int:
            # This one does not answer.
            while True:
                try:
                    async with asyncio.timeout(0.3):
                        return (await get(workers.address, "/ready")).status_code
                except TimeoutError:
                    continue

        async def says(code: int) -> bool:
            return await of_the_other() == code

        await eventually(lambda: says(200))
        os.kill(pid, signal.SIGSTOP)
        await eventually(lambda: says(503))
        assert {await of_the_other() for _ in range(8)} == {503}
        os.kill(pid, signal.SIGCONT)
        await eventually(lambda: says(200))
        assert {await of_the_other() for _ in range(8)} == {200}


async def test_the_node_is_not_ready_while_a_process_only_starts(
    redis: RedisServer, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    command = (sys.executable, "-c", HELD.format(hold=str(hold)))
    async with family("worker", 2, redis, command) as workers:
        first = workers.pids[0]
        os.kill(first, signal.SIGKILL)
        second = await workers.replaced(0, first)
        hold.touch()
        try:
            # The second time nobody is sent to one that does not answer yet.
            os.kill(second, signal.SIGKILL)
            await workers.says("a process only starts")
            assert {await status(workers) for _ in range(8)} == {503}
            assert await figure(workers.address, "dsock_ready") == 0
        finally:
            hold.unlink()
        await workers.replaced(0, second)
        await eventually(lambda: is_ready(workers))


async def is_ready(workers: Family) -> bool:
    return await status(workers) == 200


async def status(workers: Family) -> int:
    return (await get(workers.address, "/ready")).status_code


async def test_a_process_that_dies_again_and_again_is_started_ever_later(
    redis: RedisServer,
) -> None:
    async with family("worker", 2, redis) as workers:
        for pause in ("0s", "0.5s", "1s"):
            pid = workers.pids[0]
            os.kill(pid, signal.SIGKILL)
            await workers.says("process ended", f"pid={pid}", f"again_in={pause}")
            await workers.replaced(0, pid)
        assert await figure(workers.address, "dsock_process_restarts_total") == 3


async def test_a_process_that_ran_well_for_a_while_is_started_at_once(redis: RedisServer) -> None:
    async with family("worker", 2, redis, patched(supervisor__STEADY=0)) as workers:
        for _ in range(3):
            # It says that it listens before it counts as up.
            await eventually(lambda: all_run(workers))
            pid = workers.pids[0]
            os.kill(pid, signal.SIGKILL)
            await workers.says("process ended", f"pid={pid}", "again_in=0s")
            await workers.replaced(0, pid)


async def all_run(workers: Family) -> bool:
    return await figure(workers.address, 'dsock_processes{state="running"}') == 2


def declared_gone(redis: RedisServer) -> set[str]:
    """The marks of workers that went without a word."""
    with redis.client() as client:
        return set(client.keys("reaped:*")) - set(client.keys("reaped:nobody-*"))


async def test_a_process_that_is_told_to_stop_drains_and_is_replaced(redis: RedisServer) -> None:
    async with (
        api_at(redis) as api,
        family("worker", 2, redis) as workers,
        crowd(api, workers.address, ENOUGH) as by_worker,
    ):
        (_, leaving), (_, staying) = by_worker.items()
        index, pid = await pid_of(api, workers, leaving)
        marks = declared_gone(redis)
        os.kill(pid, signal.SIGTERM)
        for client in leaving:
            assert await goodbye(client, within=5) == 1012
        await workers.says("process ended", f"pid={pid}", "exit status 0")
        await workers.replaced(index, pid)
        assert {client.state.name for client in staying} == {"OPEN"}
        assert declared_gone(redis) == marks


async def test_a_process_that_cannot_start_again_says_why_until_it_can() -> None:
    with RedisServer() as server:
        async with family("worker", 2, server) as workers:
            server.kill()
            os.kill(workers.pids[0], signal.SIGKILL)
            await workers.says("process ended", "cannot reach Redis at", times=2)
            # Nobody has to wait for it: the others answer all.
            assert {await status(workers) for _ in range(ENOUGH)} == {503}
            server.start()
            await eventually(lambda: is_ready(workers), 20)


async def test_a_parent_that_was_told_not_to_hear_of_its_children_does_all_the_same(
    redis: RedisServer,
) -> None:
    ignoring = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    command = (sys.executable, "-c", f"{ignoring}; os.execv(sys.argv[1], sys.argv[1:])", *DSOCK)
    async with family("worker", 2, redis, command) as workers:
        pid = workers.pids[0]
        os.kill(pid, signal.SIGKILL)
        await workers.replaced(0, pid)
