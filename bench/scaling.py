"""What a delivery and a connect cost with 1, 2 and 4 worker processes, in CPU time of all.

Cores are few where this runs, so it does not show how fast several processes are together,
but whether they do more work for the same: what they do not share costs the same per delivery
however many there are. CPU time is user and system time of the parent and its processes.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Line
from pathlib import Path
from typing import NamedTuple

import jwt

from bench.processes import free_port
from dsock.backends.redis.watch import DOUBT

COUNTS = (1, 2, 4)
MEMBERS = 1000
SENDS = 400
ROUNDS = 5
IDLE = 3.0
"""Seconds."""
BODY = b"x" * 128
FRAME_SIZE = 4 + len(BODY)
TOKEN = "bench"
SECRET = "bench-secret-of-at-least-32-bytes-0"
READY = 30.0
CORE, OTHERS_CORE = 0, (os.cpu_count() or 1) - 1
TICK = os.sysconf("SC_CLK_TCK")


class Figures(NamedTuple):
    """CPU time: microseconds, and for `idle` milliseconds in a second in which all members
    are connected and nothing is sent."""

    per_delivery: float
    per_connect: float
    idle: float


def wait_for(port: int) -> None:
    end = time.monotonic() + READY
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def running(*command: str, core: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process on this core."""
    others = {name: text for name, text in os.environ.items() if not name.startswith("DSOCK_")}
    process = subprocess.Popen(
        command, env={**others, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.sched_setaffinity(process.pid, {core})
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def family(pid: int) -> list[int]:
    """A process and those that it has started."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def cpu(pid: int) -> float:
    """Seconds that these processes have used."""
    ticks = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def clients(line: Line, port: int) -> None:
    """A process of members of the channel: connect, then read so many bytes again and again."""
    os.sched_setaffinity(0, {OTHERS_CORE})
    key = b64encode(os.urandom(16)).decode()
    poll, sockets = select.epoll(), {}
    for number in range(MEMBERS):
        claims = {"sub": str(number), "exp": int(time.time()) + 600, "channels": ["news"]}
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(
            f"GET /connect?jwt={jwt.encode(claims, SECRET, 'HS256')} HTTP/1.1\r\nHost: b\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += sock.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        sockets[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLIN)
    line.send("open")
    while (expected := line.recv()) is not None:
        while expected > 0:
            for file, _ in poll.poll(READY):
                expected -= len(sockets[file].recv(65536))
        line.send("read")


@contextmanager
def members(port: int) -> Iterator[Line]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=clients, args=(there, port))
    process.start()
    try:
        yield here
        here.send(None)
        process.join(5)
    finally:
        process.kill()


def send(api: http.client.HTTPConnection, workers: int) -> None:
    path = "/send?channel=news&type=text"
    api.request("POST", path, BODY, {"Authorization": f"Bearer {TOKEN}"})
    answer = json.loads(api.getresponse().read())
    expected = {"workers": workers, "connections": MEMBERS, "dropped": 0, "unanswered": 0}
    assert answer.get("report") == expected, answer


@contextmanager
def redis_server() -> Iterator[int]:
    port, folder = free_port(), tempfile.TemporaryDirectory()
    command = ("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "")
    with folder as path, running(*command, "--dir", path, core=OTHERS_CORE):
        wait_for(port)
        # While it is fresh, all workers are told everything.
        time.sleep(DOUBT + 2)
        yield port


@contextmanager
def cluster(redis: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Worker processes and an API; gives the pid of the parent, and the ports of both."""
    port, api_port = free_port(), free_port()
    common = {
        "DSOCK_HOST": "127.0.0.1",
        "DSOCK_REDIS_HOST": f"127.0.0.1:{redis}",
        "DSOCK_JWT_SECRET": SECRET,
        "DSOCK_TOKEN": TOKEN,
        "DSOCK_DRAIN_DURATION": "0s",
    }
    processes = {"DSOCK_PORT": str(port), "DSOCK_PROCESSES": str(count)}
    dsock = (sys.executable, "-m", "dsock")
    at = {"DSOCK_PORT": str(api_port)}
    with (
        running(*dsock, "worker", "--no-config-file", core=CORE, **common, **processes) as workers,
        running(*dsock, "api", "--no-config-file", core=OTHERS_CORE, **common, **at),
    ):
        wait_for(api_port)
        wait_for(port)
        wait_for_workers(workers.pid, count, port)
        yield workers.pid, port, api_port


def wait_for_workers(pid: int, count: int, port: int) -> None:
    end = time.monotonic() + READY
    while time.monotonic() < end:
        api = http.client.HTTPConnection("127.0.0.1", port)
        api.request("GET", "/ready")
        if api.getresponse().status == 200 and (count == 1 or len(family(pid)) == count + 1):
            return
        time.sleep(0.1)
    raise TimeoutError("the workers are not ready")


def measure(redis: int, count: int) -> Figures:
    with cluster(redis, count) as (pid, port, api_port):
        begin = cpu(pid)
        with members(port) as line:
            line.recv()
            connected = cpu(pid)
            api = http.client.HTTPConnection("127.0.0.1", api_port)
            send(api, count)
            line.send(FRAME_SIZE * MEMBERS * (SENDS + 1))
            start = cpu(pid)
            for _ in range(SENDS):
                send(api, count)
            line.recv()
            sent = cpu(pid)
            time.sleep(IDLE)
            idle = cpu(pid)
    return Figures(
        per_delivery=(sent - start) / (SENDS * MEMBERS) * 1e6,
        per_connect=(connected - begin) / MEMBERS * 1e6,
        idle=(idle - sent) / IDLE * 1e3,
    )


def main() -> None:
    print(f"a channel of {MEMBERS}, {len(BODY)} bytes, {SENDS} sends one at a time, through Redis")
    print(f"CPU of all worker processes on one core, median of {ROUNDS} rounds")
    # In turn, so that what else the machine does meets all alike.
    rounds: dict[int, list[Figures]] = {count: [] for count in COUNTS}
    with redis_server() as redis:
        for _ in range(ROUNDS):
            for count in COUNTS:
                rounds[count].append(measure(redis, count))
    print("processes   us/delivery  to 1   us/connect  to 1   idle ms/s")
    one: Figures | None = None
    for count in COUNTS:
        columns = zip(*rounds[count], strict=True)
        figures = Figures(*(statistics.median(column) for column in columns))
        one = one or figures
        print(
            f"{count:>9}   {figures.per_delivery:>11.2f}  "
            f"{figures.per_delivery / one.per_delivery:.2f}   {figures.per_connect:>10.0f}  "
            f"{figures.per_connect / one.per_connect:.2f}   {figures.idle:>9.1f}"
        )


if __name__ == "__main__":
    main()
