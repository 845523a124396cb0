"""However a node of several processes is told to stop, it is as one process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from tests.faults.support import goodbye, keys
from tests.processes.support import Family, api_at, crowd, family, get, is_alive, patched
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

ENOUGH = 24

OF_ITS_OWN = (
    sys.executable,
    "-c",
    "import os, sys, dsock.cli; os.setpgid(0, 0); sys.exit(dsock.cli.main())",
)
"""The command `dsock` in a process group, as a shell would start it."""


def tell(workers: Family, number: signal.Signals, whom: str) -> None:
    if whom == "parent":
        workers.parent.signal(number)
    else:
        os.killpg(workers.parent.pid, number)


@pytest.mark.parametrize(
    ("number", "whom"),
    [
        (signal.SIGTERM, "parent"),
        (signal.SIGINT, "parent"),
        # As systemd does, and some supervisors; and a terminal.
        (signal.SIGTERM, "everyone"),
        (signal.SIGINT, "everyone"),
    ],
)
async def test_all_clients_are_closed_bit_by_bit_and_no_key_is_left(
    redis: RedisServer, number: signal.Signals, whom: str
) -> None:
    async with (
        api_at(redis) as api,
        family("worker", 2, redis, OF_ITS_OWN, drain_duration="1s") as workers,
        crowd(api, workers.address, ENOUGH, channels="news", session="s") as by_worker,
    ):
        assert len(by_worker) == 2
        tell(workers, number, whom)
        clients = [client for group in by_worker.values() for client in group]
        codes = await asyncio.gather(*(goodbye(client, within=5) for client in clients))
        assert set(codes) == {1012}
        assert await workers.parent.ended() == 0
        assert keys(redis) == set()
        assert not any(is_alive(pid) for pid in workers.pids.values())
        assert workers.said("process ended") == []


async def test_a_second_signal_ends_all_at_once(redis: RedisServer) -> None:
    async with (
        api_at(redis) as api,
        family("worker", 2, redis, drain_duration="60s") as workers,
        crowd(api, workers.address, ENOUGH),
    ):
        workers.parent.signal(signal.SIGTERM)
        await workers.says("event=draining", times=2)
        workers.parent.signal(signal.SIGTERM)
        assert await workers.parent.ended() == 128 + signal.SIGTERM
        assert not any(is_alive(pid) for pid in workers.pids.values())


async def test_processes_whose_parent_was_killed_drain_by_themselves(redis: RedisServer) -> None:
    async with (
        api_at(redis) as api,
        family("worker", 2, redis) as workers,
        crowd(api, workers.address, ENOUGH) as by_worker,
    ):
        workers.parent.signal(signal.SIGKILL)
        clients = [client for group in by_worker.values() for client in group]
        codes = await asyncio.gather(*(goodbye(client, within=5) for client in clients))
        assert set(codes) == {1012}
        # Its log ends with the last who could write to it.
        await workers.parent.ended()
        assert len(workers.said("the parent is gone")) == 2
        await eventually(lambda: not any(is_alive(pid) for pid in workers.pids.values()))
        assert keys(redis) == set()


async def test_a_process_that_stands_still_holds_up_a_stop_only_so_long(
    redis: RedisServer,
) -> None:
    async with (
        api_at(redis) as api,
        family("worker", 2, redis, patched(supervisor__HUNG=4)) as workers,
        crowd(api, workers.address, ENOUGH),
    ):
        os.kill(workers.pids[0], signal.SIGSTOP)
        workers.parent.signal(signal.SIGTERM)
        await workers.says("event=stopped", "process=1")
        # It has cut off its clients: who runs it must see that.
        assert await workers.parent.ended() == 1
        assert not any(is_alive(pid) for pid in workers.pids.values())


async def test_nobody_is_started_again_who_dies_in_a_stop(redis: RedisServer) -> None:
    async with (
        api_at(redis) as api,
        family("worker", 2, redis, drain_duration="3s") as workers,
        crowd(api, workers.address, ENOUGH),
    ):
        pid = workers.pids[0]
        workers.parent.signal(signal.SIGTERM)
        await workers.says("event=draining", f"pid={pid}")
        os.kill(pid, signal.SIGKILL)
        assert await workers.parent.ended() == 1
        assert workers.said("started again") == []


async def test_in_a_stop_nobody_waits_for_a_process_that_has_ended(redis: RedisServer) -> None:
    async with (
        api_at(redis) as api,
        family("worker", 2, redis, drain_duration="60s") as workers,
        crowd(api, workers.address, ENOUGH) as by_worker,
    ):
        leaving, _ = by_worker.values()
        for client in leaving:
            await client.close()
        workers.parent.signal(signal.SIGTERM)
        # The one that has no client.
        await workers.says("event=stopped")
        await workers.says("event=draining", times=2)
        for _ in range(ENOUGH):
            assert (await get(workers.address, "/ping")).text == "pong"
        workers.parent.signal(signal.SIGTERM)
        await workers.parent.ended()
