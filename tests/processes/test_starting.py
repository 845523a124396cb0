"""A node of several processes starts as one does, or says once why not."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

from tests.processes.support import begun, children, everywhere, family, figure, system
from tests.support.process import DSOCK, Process, process
from tests.support.redis_server import RedisServer, free_port

DIES = """
import os, sys
import dsock.processes.process as p, dsock.cli
def die(self, look):
    {how}
p.Process.beating = die
sys.exit(dsock.cli.main())
"""

BEATS_EARLY = """
import sys
import dsock.processes.board as b, dsock.processes.process as p, dsock.cli
b.STILL = p.BEAT = 60
is_up = p.Process.is_up
def up(self, *state):
    self.tell(p.State(ready=False))
    is_up(self, *state)
p.Process.is_up = up
sys.exit(dsock.cli.main())
"""
"""A beat comes just before a process can answer, and none after it."""


async def said_of(started: Process) -> tuple[int, list[str]]:
    status = await started.ended()
    return status, [line for line in started.log if "config file" not in line]


async def test_a_redis_out_of_reach_is_said_once_and_as_one_process_says_it(
    redis: RedisServer,
) -> None:
    at = f"127.0.0.1:{free_port()}"
    async with process("worker", redis_host=at, redis_timeout="300ms") as alone:
        status, log = await said_of(alone)
    assert status == 2
    async with begun("worker", 3, redis, redis_host=at, redis_timeout="300ms") as workers:
        again, lines = await said_of(workers.parent)
    assert again == status
    assert [line for line in lines if "cannot reach" in line] == log[-1:]


async def test_a_port_that_is_taken_is_said_once(redis: RedisServer) -> None:
    async with family("worker", 2, redis) as first:
        port = first.address.rpartition(":")[2]
        async with begun("worker", 2, redis, port=port) as second:
            assert await said_of(second.parent) == (2, [f"dsock worker: port {port} is in use"])


async def test_several_processes_on_memory_are_refused_with_what_to_do() -> None:
    async with process("serve", processes="2") as serve:
        status, [line] = await said_of(serve)
    assert status == 2
    assert "set redis_host, or leave out processes" in line


@pytest.mark.parametrize(
    ("how", "status"),
    [("os._exit(7)", 7), ("os.kill(os.getpid(), 9)", 137), ("raise RuntimeError", 1)],
    ids=["exit", "signal", "bug"],
)
async def test_a_process_that_dies_before_it_was_up_ends_the_whole(
    redis: RedisServer, how: str, status: int
) -> None:
    command = (sys.executable, "-c", DIES.format(how=how))
    async with begun("worker", 2, redis, command) as workers:
        assert await workers.parent.ended() == status
        assert workers.said("process ended before it was up")


async def test_when_all_processes_are_up_each_says_so(redis: RedisServer) -> None:
    async with family("worker", 2, redis, (sys.executable, "-c", BEATS_EARLY)) as workers:
        assert await everywhere(workers, "/ready", 16, lambda answer: answer.status_code) == {200}


async def test_one_process_is_one_process(redis: RedisServer) -> None:
    async with process("worker", redis_host=redis.address, processes="1") as worker:
        address = await worker.listening()
        assert children(worker.pid) == []
        assert not any("process=" in line or "pid=" in line for line in worker.log)
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"http://{address}/metrics")).text
        assert "dsock_processes" not in metrics
        assert "dsock-" not in system(worker.pid, "maps")


async def test_the_token_of_a_serve_is_made_once_and_is_the_same_in_all(
    redis: RedisServer, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ("sh", "-c", f'exec "$@" >{out}', "sh", *DSOCK)
    async with family("serve", 2, redis, command, token="") as serve:
        text = out.read_text()
        assert text.count("export DSOCK_TOKEN=") == 1
        token = text.partition("export DSOCK_TOKEN=")[2].split()[0]
        path = f"/info?user=u&token={token}"
        assert await everywhere(serve, path, 16, lambda answer: answer.status_code) == {200}


async def test_the_parent_has_one_thread_and_its_processes_may_open_all_files(
    redis: RedisServer,
) -> None:
    # Where a library starts a thread before the fork, a newer Python warns of it.
    dsock = (sys.executable, "-W", "error::DeprecationWarning", "-m", "dsock")
    command = ("sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh", *dsock)
    async with family("worker", 2, redis, command) as workers:
        assert "Threads:\t1\n" in system(workers.parent.pid, "status")
        assert sorted(children(workers.parent.pid)) == sorted(workers.pids.values())
        for pid in workers.pids.values():
            limits = system(pid, "limits")
            [files] = [line for line in limits.splitlines() if "open files" in line]
            assert files.split()[3] == files.split()[4] != "256"


async def test_each_line_of_a_log_says_which_process_wrote_it(redis: RedisServer) -> None:
    async with family("worker", 2, redis) as workers:
        lines = workers.said("event=announced")
        assert (len(lines), sorted(workers.pids)) == (2, [0, 1])
        for index, pid in workers.pids.items():
            assert any(f" process={index} pid={pid} " in line for line in lines)
        assert await figure(workers.address, "dsock_process_restarts_total") == 0
