"""A real Redis that a test owns: it can be killed, frozen and watched."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self

import redis

PROGRAM = os.environ.get("REDIS_SERVER", "redis-server")
"""What is started: with `REDIS_SERVER=valkey-server` the tests run on Valkey."""

PORTS = range(10_000, 32_000)
"""Ports that Linux gives to nobody who connects: one of those could be taken before a server
listens there."""

_given: set[int] = set()
"""Ports on which somebody will listen, though perhaps nobody does yet."""


def free_port() -> int:
    """A port on which nobody listens, and that nobody else has been given."""
    for port in random.sample(PORTS, 100):
        if port in _given:
            continue
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            _given.add(port)
            return port
    raise AssertionError("no port is free")


class Servers(Protocol):
    """What a test needs to know of a Redis, be it one server or several."""

    @property
    def options(self) -> dict[str, Any]:
        """The settings of a node that uses it."""

    def client(self) -> Any:
        """Someone else who uses it."""

    def empty(self) -> None: ...
    def keys(self) -> set[str]: ...


class RedisServer:
    """redis-server on a port of its own, without persistence."""

    def __init__(self, *options: str, password: str = "", tls: bool = False) -> None:
        self.port = free_port()
        self.tls = tls
        """Whether it speaks TLS, and nothing else."""
        self.folder = tempfile.mkdtemp(prefix="dsock-redis-")
        self._password = password
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def options(self) -> dict[str, Any]:
        return {"redis_host": self.address}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start, empty; returns once it answers."""
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start, empty."""
        self._process = subprocess.Popen(self._command(), stdout=subprocess.DEVNULL)

    def wait(self) -> None:
        """Return once it answers."""
        with self.client(retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.02), 250)) as c:
            c.ping()

    def _command(self) -> list[str]:
        port = ["--port", "0", "--tls-port"] if self.tls else ["--port"]
        return [
            *(PROGRAM, *port, str(self.port), "--bind", "127.0.0.1", "--dir", self.folder),
            *("--save", "", "--appendonly", "no", *self._options),
            *(("--requirepass", self._password) if self._password else ()),
        ]

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def answers(self) -> bool:
        """Whether it was started, and neither killed nor frozen since."""
        return self._process is not None and not self._frozen

    def freeze(self) -> None:
        """It keeps its sockets and answers nothing."""
        assert self._process
        os.kill(self._process.pid, signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        assert self._process
        os.kill(self._process.pid, signal.SIGCONT)
        self._frozen = False

    def client(self, **options: Any) -> redis.Redis:
        tls = {"ssl": True, "ssl_cert_reqs": "none"} if self.tls else {}
        common = {"decode_responses": True, "password": self._password or None, **tls}
        return redis.Redis(port=self.port, **{**common, **options})

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


class Sentinel(RedisServer):
    """A Sentinel, which writes down what it sees in a file of its own."""

    def __init__(self, *lines: str, password: str = "", tls: bool = False) -> None:
        super().__init__(password=password, tls=tls)
        self._lines = lines

    def _command(self) -> list[str]:
        file = Path(self.folder, "sentinel.conf")
        kind = "port 0\ntls-port" if self.tls else "port"
        own = [f"{kind} {self.port}", "bind 127.0.0.1", f"dir {self.folder}"]
        own += [f"requirepass {self._password}"] if self._password else []
        file.write_text("\n".join((*own, *self._lines, "")))
        return [PROGRAM, str(file), "--sentinel"]
