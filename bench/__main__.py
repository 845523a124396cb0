"""`make bench`: a fan-out, against one `send()` per message over as many sockets.

Server and clients have a core each. The floor is a tight loop over ready sockets: what
dSock does besides (HTTP, routing, counting, the report) is what keeps it below.
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
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Line

RECEIVERS = 1000
SENDS = 100
ROUNDS = 3
BODY = b"x" * 128
FRAME = b"\x81\x7e" + len(BODY).to_bytes(2, "big") + BODY
TOKEN = "bench"
READY = 30.0
SERVER_CORE, CLIENT_CORE = 0, (os.cpu_count() or 1) - 1


def pin(core: int) -> None:
    os.sched_setaffinity(0, {core})


def receive(sockets: list[socket.socket], expected: int) -> None:
    """Read until so many bytes have come."""
    poll = select.epoll()
    by_file = {sock.fileno(): sock for sock in sockets}
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    left = expected
    while left > 0:
        events = poll.poll(READY)
        if not events:
            raise TimeoutError(f"{left} bytes did not come")
        for file, _ in events:
            left -= len(by_file[file].recv(65536))
    poll.close()


def clients(line: Line, port: int, heads: list[bytes]) -> None:
    """A process of receivers: connect, then read whatever number of bytes it is told."""
    pin(CLIENT_CORE)
    sockets = []
    for head in heads:
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(head)
        if head:
            while not sock.recv(4096).endswith(b"\r\n\r\n"):
                pass
        sockets.append(sock)
    line.send("open")
    while (expected := line.recv()) is not None:
        start = time.process_time()
        receive(sockets, expected)
        line.send(time.process_time() - start)


@contextmanager
def receivers(port: int, heads: list[bytes]) -> Iterator[Line]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=clients, args=(there, port, heads))
    process.start()
    try:
        yield here
        here.send(None)
        process.join(5)
    finally:
        process.kill()


def rate(line: Line, send: Callable[[], None]) -> tuple[float, float]:
    """Deliveries per second, and how busy the receivers were."""
    line.send(RECEIVERS * SENDS * len(FRAME))
    start = time.perf_counter()
    for _ in range(SENDS):
        send()
    busy = line.recv()
    passed = time.perf_counter() - start
    return RECEIVERS * SENDS / passed, busy / passed


def floor() -> Iterator[tuple[float, float]]:
    with socket.create_server(("127.0.0.1", 0), backlog=RECEIVERS) as server:
        port = server.getsockname()[1]
        with receivers(port, [b""] * RECEIVERS) as line:
            sockets = [server.accept()[0] for _ in range(RECEIVERS)]
            line.recv()

            def send() -> None:
                for sock in sockets:
                    sock.send(FRAME)

            for _ in range(ROUNDS):
                yield rate(line, send)


@contextmanager
def broker() -> Iterator[http.client.HTTPConnection]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DSOCK_")}
    environment |= {"DSOCK_TOKEN": TOKEN, "DSOCK_PORT": str(port), "DSOCK_HOST": "127.0.0.1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "dsock", "serve", "--no-config-file"],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    os.sched_setaffinity(process.pid, {SERVER_CORE})
    try:
        end = time.monotonic() + READY
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield http.client.HTTPConnection("127.0.0.1", port)
    finally:
        process.terminate()
        process.wait()


def call(api: http.client.HTTPConnection, path: str, body: bytes = b"") -> dict[str, object]:
    api.request("POST", path, body, {"Authorization": f"Bearer {TOKEN}"})
    answer: dict[str, object] = json.loads(api.getresponse().read())
    assert answer["success"], answer
    return answer


def dsock() -> Iterator[tuple[float, float]]:
    with broker() as api:
        key = b64encode(os.urandom(16)).decode()
        heads = []
        for number in range(RECEIVERS):
            answer = call(api, f"/claim?user={number}&channels=news")
            claim = answer["claim"]["id"]  # type: ignore[index]
            heads.append(
                f"GET /connect?claim={claim} HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
        with receivers(api.port, heads) as line:
            line.recv()
            expected = {
                "workers": 1,
                "connections": RECEIVERS,
                "dropped": 0,
                "unanswered": 0,
            }

            def send() -> None:
                assert call(api, "/send?channel=news&type=text", BODY)["report"] == expected

            for _ in range(ROUNDS):
                yield rate(line, send)


def main() -> None:
    print(f"channel of {RECEIVERS}, {len(BODY)} bytes, one send at a time, {SENDS} sends")
    print("floor: one send() per message in a tight loop; dsock: HTTP call and report included")
    pin(SERVER_CORE)
    figures = {}
    for name, measure in (("floor", floor), ("dsock", dsock)):
        rates, busy = zip(*measure(), strict=True)
        figures[name] = statistics.median(rates)
        limit = "  (the receivers were the limit)" if max(busy) > 0.9 else ""
        print(f"  {name:6} {figures[name]:>9,.0f} deliveries/s{limit}")
    print(f"  ratio  {figures['dsock'] / figures['floor']:.2f}")


if __name__ == "__main__":
    main()
