"""Latency at a given load: sends go out when it is their time, whatever became of those before.

The times are fixed beforehand, and latency counts from them, so that a server that stands still
is charged for all that should have been sent meanwhile (no coordinated omission). The generator
sends and receives in one thread, by one clock.
"""

from __future__ import annotations

import random
import select
import socket
import time
from array import array
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from bench.generator.calls import complete
from bench.generator.pongs import PING
from bench.generator.requests import frame_size
from bench.processes import PATIENCE

NUMBER = 8
"""Digits at the start of a body that say which send it is."""

_AT_ONCE = 256
_HEAD_START = 0.02


def even(rate: float, seconds: float) -> list[float]:
    """So many sends a second, at equal distances; one at least."""
    return [number / rate for number in range(max(1, int(rate * seconds)))]


def at_random(rate: float, seconds: float) -> list[float]:
    """So many sends a second on average, each independent of the others (a Poisson process);
    the same times in every run."""
    chance, now, times = random.Random(1), 0.0, []
    while (now := now + chance.expovariate(rate)) < seconds:
        times.append(now)
    return times


def numbered(number: int, size: int) -> bytes:
    """The body of a send."""
    return b"%0*d" % (NUMBER, number) + b"x" * (size - NUMBER)


@dataclass(slots=True)
class Latencies:
    """What a schedule led to, in seconds."""

    delivered: array[float] = field(default_factory=lambda: array("d"))
    """From the time of a send until each client had it, in no order."""
    answered: dict[int, float] = field(default_factory=dict)
    """From the time of a send until its call was answered, by its place in the schedule."""
    late: array[float] = field(default_factory=lambda: array("d"))
    """From the time of a send until it was sent."""


class Open:
    """Follows a schedule over connections to the API, of which there are enough, while clients
    read each message as it comes. Made before the clients are connected: `select()` knows only
    files below 1,024."""

    def __init__(self, port: int, connections: int) -> None:
        self._frame = self._head = 0
        self._poll = select.epoll()
        self._callers: dict[int, socket.socket] = {}
        self._clients: dict[int, socket.socket] = {}
        self._rest: dict[int, bytes] = {}
        self._connect = partial(self._connected, port, connections)

    def watch(self, clients: Sequence[socket.socket], body: int) -> None:
        """These are sent bodies of that many bytes."""
        self._frame = frame_size(body)
        self._head = self._frame - body
        self._clients = {self._registered(sock): sock for sock in clients}

    def _connected(self, port: int, connections: int) -> None:
        for _ in range(connections):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._callers[self._registered(sock)] = sock

    def _registered(self, sock: socket.socket) -> int:
        sock.setblocking(False)
        self._poll.register(sock, select.EPOLLIN)
        return sock.fileno()

    def __enter__(self) -> Open:
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()
        for sock in self._callers.values():
            sock.close()

    def follow(self, requests: Sequence[bytes], times: Sequence[float], copies: int) -> Latencies:
        """Send each request at its time, counted from the start; each brings `copies`
        deliveries. Raises `TimeoutError`, `ConnectionError`."""
        if not self._callers:
            # Not before: a server does not wait long for the first request.
            self._connect()
        self._drain()
        found = Latencies()
        free = deque(self._callers.values())
        asked: dict[int, int] = {}
        start = time.perf_counter() + _HEAD_START
        due = [start + one for one in times]
        sent, wanted = 0, copies * len(times)
        while len(found.delivered) < wanted or len(found.answered) < len(times):
            now = time.perf_counter()
            if now > due[-1] + PATIENCE:
                raise TimeoutError(f"{wanted - len(found.delivered)} deliveries did not come")
            while free and sent < len(due) and due[sent] <= now:
                sock = free.popleft()
                sock.send(requests[sent])
                asked[sock.fileno()] = sent
                found.late.append(now - due[sent])
                sent += 1
            next_due = due[sent] if free and sent < len(due) else now + PATIENCE
            for file, _ in self._ready(max(0.0, next_due - now)):
                if file in self._clients:
                    self._read(file, due, found.delivered)
                elif self._answered(file):
                    free.append(self._callers[file])
                    number = asked.pop(file)
                    found.answered[number] = time.perf_counter() - due[number]
        return found

    def _ready(self, within: float) -> list[tuple[int, int]]:
        # epoll counts in milliseconds, select in microseconds.
        select.select([self._poll], [], [], within)
        return self._poll.poll(0, _AT_ONCE)

    def _read(self, file: int, due: Sequence[float], delivered: array[float]) -> None:
        data = self._clients[file].recv(65536)
        now = time.perf_counter()
        if not data:
            raise ConnectionError("a client was closed")
        if file in self._rest:
            data = self._rest.pop(file) + data
        frame, head, start = self._frame, self._head, 0
        while start + frame <= len(data):
            if data[start] == PING[0]:  # rare, but one may come in between
                start += len(PING)
                continue
            body = start + head
            delivered.append(now - due[int(data[body : body + NUMBER])])
            start += frame
        if start < len(data) and data[start:] != PING:
            self._rest[file] = data[start:]

    def _answered(self, file: int) -> bool:
        data = self._rest.pop(file, b"") + self._callers[file].recv(65536)
        if complete(data):
            return True
        self._rest[file] = data
        return False

    def _drain(self) -> None:
        self._rest.clear()
        for sock in self._clients.values():
            with suppress(BlockingIOError):
                sock.recv(65536)
