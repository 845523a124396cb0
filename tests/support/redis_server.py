"""A real Redis that a test owns: it can be killed, frozen and watched."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from typing import Any

import redis


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


class RedisServer:
    """redis-server on a port of its own, without persistence."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self._options = options
        self._folder = tempfile.mkdtemp(prefix="dsock-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start, empty; returns once it answers."""
        self._process = subprocess.Popen(
            [
                "redis-server",
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder),
                *("--save", "", "--appendonly", "no", *self._options),
            ],
            stdout=subprocess.DEVNULL,
        )
        with self.client(retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.02), 250)) as c:
            c.ping()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its sockets and answers nothing."""
        assert self._process
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        os.kill(self._process.pid, signal.SIGCONT)

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(port=self.port, **{"decode_responses": True, **options})

    def empty(self) -> None:
        with self.client() as client:
            client.flushall()

    def keys(self) -> set[str]:
        with self.client() as client:
            return set(client.keys())

    def wait_for_uptime(self, seconds: float) -> None:
        """Return once it has been up for so long, as it says itself."""
        with self.client() as client:
            while client.info("server")["uptime_in_seconds"] < seconds:
                client.execute_command("BLPOP", "nothing-comes-here", 0.2)

    def commands(self) -> int:
        """How many commands clients have sent so far; what a script calls is not counted."""
        with self.client() as client:
            return int(client.info("stats")["total_commands_processed"])
