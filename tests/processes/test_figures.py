"""One `/metrics` and one `/ready` for all processes, whichever is asked."""

from __future__ import annotations

import os
import re
import signal
import stat

from tests.processes.support import api_at, crowd, family, figure, get, patched, system
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

ENOUGH = 24


async def test_every_process_shows_the_sums_over_all(redis: RedisServer) -> None:
    async with (
        api_at(redis) as api,
        family("worker", 2, redis) as workers,
        crowd(api, workers.address, ENOUGH, channels="news") as by_worker,
    ):
        assert len(by_worker) == 2
        await api.send("x", channel="news")
        await eventually(lambda: holds(workers.address, "dsock_connections", ENOUGH))
        for name in ("dsock_connections_opened_total", "dsock_deliveries_total", "dsock_users"):
            found = {await figure(workers.address, name) for _ in range(12)}
            assert found == {ENOUGH}, name


async def holds(address: str, name: str, value: float) -> bool:
    return await figure(address, name) == value


async def test_counters_never_fall_and_what_is_now_goes_with_a_process(
    redis: RedisServer,
) -> None:
    async with (
        api_at(redis) as api,
        family("worker", 2, redis) as workers,
        crowd(api, workers.address, ENOUGH) as by_worker,
    ):
        await eventually(lambda: holds(workers.address, "dsock_connections", ENOUGH))
        before = await counters(workers.address)
        pid = workers.pids[0]
        os.kill(pid, signal.SIGKILL)
        replaced = False
        while not replaced:
            # Looked at once more when it is there: it was counted before.
            replaced = workers.pids[0] != pid
            after = await counters(workers.address)
            assert fallen(before, after) == {}
            before = after
        assert before["dsock_connections_opened_total"] == ENOUGH
        assert before["dsock_process_restarts_total"] == 1
        left = await figure(workers.address, "dsock_connections")
        assert left in {len(clients) for clients in by_worker.values()}
        async with crowd(api, workers.address, ENOUGH, "again"):
            after = await counters(workers.address)
            assert after["dsock_connections_opened_total"] == 2 * ENOUGH


async def counters(address: str) -> dict[str, float]:
    """All that may only grow."""
    lines = (await get(address, "/metrics")).text.splitlines()
    rows = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    grows = re.compile(r"\w+_(total|sum|count|bucket)\b.*")
    return {name: float(value) for name, _, value in rows if grows.fullmatch(name)}


def fallen(before: dict[str, float], after: dict[str, float]) -> dict[str, tuple[float, float]]:
    there = {name: after.get(name, 0) for name in before}
    return {name: (before[name], now) for name, now in there.items() if now < before[name]}


async def test_it_is_shown_how_many_processes_there_should_be_and_are(redis: RedisServer) -> None:
    async with family("worker", 2, redis, patched(supervisor__FIRST_PAUSE=3)) as workers:
        states = ['dsock_processes{state="wanted"}', 'dsock_processes{state="running"}']
        assert [await figure(workers.address, one) for one in states] == [2, 2]
        for _ in range(2):  # The second time it waits before it is started again.
            pid = workers.pids[0]
            os.kill(pid, signal.SIGKILL)
            await workers.says("process ended", f"pid={pid}")
            assert await figure(workers.address, states[0]) == 2
            if "again_in=3s" in workers.said("process ended")[-1]:
                assert await figure(workers.address, states[1]) == 1
                assert await figure(workers.address, "dsock_ready") == 0
            await workers.replaced(0, pid)
        await eventually(lambda: holds(workers.address, "dsock_ready", 1))


async def test_what_the_system_says_of_a_node_is_about_all_of_its_processes(
    redis: RedisServer,
) -> None:
    async with family("worker", 2, redis) as workers:
        shown = await figure(workers.address, "process_resident_memory_bytes")
        pids = [workers.parent.pid, *workers.pids.values()]
        each = [int(system(pid, "statm").split()[1]) * 4096 for pid in pids]
        assert max(each) < shown
        assert 0.8 * sum(each) < shown < 1.2 * sum(each)


async def test_the_files_of_the_metrics_are_for_nobody_else_and_go_with_the_node(
    redis: RedisServer,
) -> None:
    for ending in (signal.SIGTERM, signal.SIGKILL):
        async with family("worker", 2, redis) as workers:
            maps = system(workers.pids[0], "maps")
            folder: str = re.findall(r"(/\S*/dsock-\w+)/counter_0.db", maps)[0]
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
            workers.parent.signal(ending)
            await workers.parent.ended()
            assert os.path.basename(folder) not in os.listdir(os.path.dirname(folder))
