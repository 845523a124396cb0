"""Servers that the bench starts: each on its core, stopped by its id."""

from __future__ import annotations

import http.client
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.machine import on_core

ROOT = Path(__file__).parents[1]

CODE = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
"""So that what is measured is the commit that is named."""

PATIENCE = 30.0
"""Seconds after which a server that does not come up, or a message that does not arrive, has
failed."""


PORTS = range(10_000, 30_000)
"""Below those that the system gives to clients: ours, who are many, would take them meanwhile."""


def free_port() -> int:
    """A port on which nothing listens. Raises `OSError` if there is none."""
    for port in random.sample(PORTS, 100):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise OSError("no port is free")


@contextmanager
def module(
    name: str,
    *arguments: str,
    core: int,
    environment: Mapping[str, str] | None = None,
    speaks: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m name arguments` on a core, from the files of this checkout, and with nothing of
    our own `DSOCK_` environment. With `speaks` there is a pipe to its input and from its output."""
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("DSOCK_")}
    with on_core(core):
        process = subprocess.Popen(
            [sys.executable, "-m", name, *arguments],
            env={**inherited, **CODE, **(environment or {})},
            stdin=subprocess.PIPE if speaks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if speaks else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    with stopped(process):
        yield process


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """The process ends with this context."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


def until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once something listens on the port. Raises `TimeoutError`."""
    for _ in _tries(process):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            continue


def until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once `/ready` says 200. Raises `TimeoutError`."""
    for _ in _tries(process):
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            line.request("GET", "/ready")
            if line.getresponse().status == 200:
                return
        except OSError:
            continue
        finally:
            line.close()


def _tries(process: subprocess.Popen[bytes]) -> Iterator[None]:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        yield
        time.sleep(0.05)
    raise TimeoutError(f"{process.args!r} does not answer")
