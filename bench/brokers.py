"""dSock as it is measured: on memory, or as API and worker with a Redis of the bench's own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import redis

from bench.machine import GENERATOR_CORE, SERVER_CORE, on_core
from bench.processes import free_port, module, stopped, until_listening, until_ready
from dsock.backends.redis.watch import DOUBT

TOKEN = "bench"
JWT_SECRET = "a secret of the bench that is long enough for HS256"

QUIET = {"ping_interval": "6h", "ping_timeout": "6h"}
"""So that no ping comes between the messages that are counted."""


class Place(Enum):
    """Where the parts run. Redis is on the generator's core: it is not what is measured, and
    its CPU is counted apart."""

    MEMORY = "memory"
    REDIS = "redis, API and worker on one core"
    REDIS_TWO = "redis, API and worker on two cores"
    """The worker has the server's core; the API shares the generator's, there being no third."""


@dataclass(frozen=True, slots=True)
class Broker:
    """One that is up: where to call, where to connect, and what its processes are."""

    place: Place
    api: int
    worker: int
    """Ports."""
    pids: tuple[int, ...]
    redis: int | None
    """The process of Redis."""
    worker_pid: int


class Brokers:
    """Starts brokers; keeps the one Redis that all of them use, one after the other."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._redis: tuple[int, int] | None = None

    def __enter__(self) -> Brokers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def started(self, place: Place, **options: str) -> Iterator[Broker]:
        """A broker with these options besides the defaults, without clients and records."""
        options = {**QUIET, **options}
        with ExitStack() as stack:
            if place is Place.MEMORY:
                node, port = stack.enter_context(_node("serve", SERVER_CORE, options))
                yield Broker(place, port, port, (node.pid,), None, node.pid)
                return
            pid, redis_port = self._empty_redis()
            options["redis_host"] = f"127.0.0.1:{redis_port}"
            core = SERVER_CORE if place is Place.REDIS else GENERATOR_CORE
            worker, worker_port = stack.enter_context(_node("worker", SERVER_CORE, options))
            api, api_port = stack.enter_context(_node("api", core, options))
            yield Broker(place, api_port, worker_port, (api.pid, worker.pid), pid, worker.pid)

    @contextmanager
    def another_worker(self, **options: str) -> Iterator[tuple[int, int]]:
        """One more worker beside the broker that is up, which is on Redis: process and port."""
        with self._another("worker", options) as node:
            yield node

    @contextmanager
    def another_api(self, **options: str) -> Iterator[tuple[int, int]]:
        """The same for an API."""
        with self._another("api", options) as node:
            yield node

    @property
    def redis(self) -> tuple[int, int]:
        """Process and port of the Redis that all use; it is up."""
        assert self._redis
        return self._redis

    @contextmanager
    def _another(self, role: str, options: dict[str, str]) -> Iterator[tuple[int, int]]:
        options = {**QUIET, "redis_host": f"127.0.0.1:{self.redis[1]}", **options}
        with _node(role, SERVER_CORE, options) as (process, port):
            yield process.pid, port

    def start_redis(self) -> None:
        """Start Redis now, so that it has come of age when it is needed."""
        if self._redis is None:
            self._redis = self._stack.enter_context(_redis())

    def _empty_redis(self) -> tuple[int, int]:
        """Process and port of Redis."""
        self.start_redis()
        assert self._redis
        with redis.Redis(port=self._redis[1]) as client:
            client.flushall()
            # While it is fresh every worker is told everything, which is not what is measured.
            while client.info("server")["uptime_in_seconds"] < DOUBT + 1:
                time.sleep(0.2)
        return self._redis


@contextmanager
def _node(
    role: str, core: int, options: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    settings = {"host": "127.0.0.1", "port": str(port), "jwt_secret": JWT_SECRET, **options}
    if role != "worker":
        settings["token"] = TOKEN
    environment = {f"DSOCK_{name.upper()}": text for name, text in settings.items()}
    arguments = (role, "--no-config-file")
    with module("dsock", *arguments, core=core, environment=environment) as process:
        until_ready(process, port)
        yield process, port


@contextmanager
def _redis() -> Iterator[tuple[int, int]]:
    port = free_port()
    if shutil.which("redis-server") is None:
        script = Path(__file__).parent.parent / "scripts" / "install-test-tools"
        subprocess.run([script], check=True)
    with tempfile.TemporaryDirectory(prefix="dsock-bench-") as folder:
        with on_core(GENERATOR_CORE):
            process = subprocess.Popen(
                [
                    *("redis-server", "--port", str(port), "--bind", "127.0.0.1"),
                    *("--dir", folder, "--save", "", "--appendonly", "no"),
                ],
                stdout=subprocess.DEVNULL,
            )
        with stopped(process):
            until_listening(process, port)
            yield process.pid, port
