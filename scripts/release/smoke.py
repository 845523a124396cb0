"""Whether an installed dSock works: `python -P smoke.py COMMAND FOLDER VERSION`.

COMMAND is the program `dsock`, FOLDER where the package must have been installed. It is run
by the Python that it was installed for, and imports nothing but dSock and its libraries.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import pkgutil
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata, resources
from pathlib import Path
from typing import NoReturn

from websockets.sync.client import connect

import dsock

PATIENCE = 45
"""Seconds that all of it may take."""

TOKEN = "smoke-of-a-release"
MESSAGE = "Is anybody there?"

_LISTENING = re.compile(r"event=.?listening.*\bport=(\d+)")


class Broken(Exception):
    """The installed dSock does not do what it should."""


def expect(wanted: object, got: object, what: str) -> None:
    if wanted != got:
        raise Broken(f"{what}: {got!r} instead of {wanted!r}")


def check_package(folder: Path, version: str) -> None:
    """It is the installed one, whole, and knows its version."""
    file = Path(dsock.__file__).resolve()
    if not file.is_relative_to(folder):
        raise Broken(f"imported from {file}, which is not in {folder}")
    expect(version, dsock.__version__, "dsock.__version__")
    expect(version, metadata.version("dsock-broker"), "the version of the metadata")
    expect(True, resources.files("dsock").joinpath("py.typed").is_file(), "py.typed is there")
    # Every library that is not declared, and every file that is read, is missed here.
    for module in pkgutil.walk_packages(dsock.__path__, "dsock."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


def check_commands(command: str, version: str, environment: dict[str, str]) -> None:
    said = output(environment, command, "--version")
    expect(f"dsock {version}\n", said, "--version")
    said = output(environment, command, "config", "--no-config-file", "--json")
    expect("127.0.0.1", json.loads(said)["host"]["value"], "the host that config shows")


def output(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    expect((0, ""), (done.returncode, done.stderr), " ".join(command))
    return done.stdout


def check_node(command: str, environment: dict[str, str]) -> None:
    """A claim, a client, a message, and a clean end."""
    with running(command, environment) as node:
        port = port_of(node)
        claim = json.loads(call(port, "POST", "/claim?user=1"))["claim"]["id"]
        with connect(f"ws://127.0.0.1:{port}/connect?claim={claim}", proxy=None) as client:
            report = json.loads(call(port, "POST", "/send?user=1&type=text", MESSAGE))["report"]
            expect(1, report["connections"], "connections")
            expect(MESSAGE, client.recv(timeout=10), "the message")
        expect(True, "<style>" in call(port, "GET", "/docs"), "/docs has its style")
        node.send_signal(signal.SIGTERM)
        expect(0, node.wait(timeout=20), "status after SIGTERM")


@contextmanager
def running(command: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`dsock serve`; killed at the end if it still runs."""
    with subprocess.Popen(
        [command, "serve", "--no-config-file"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as node:
        try:
            yield node
        finally:
            node.kill()


def port_of(node: subprocess.Popen[str]) -> int:
    """Where it listens, once it does."""
    assert node.stderr
    said = []
    for line in node.stderr:
        said.append(line)
        if found := _LISTENING.search(line):
            return int(found[1])
    raise Broken(f"serve ended early: {''.join(said)}")


def call(port: int, method: str, path: str, body: str = "") -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    expect(200, answer.status, f"{method} {path}: {text[:200]}")
    return text


def too_late(*_: object) -> NoReturn:
    raise TimeoutError(f"not done after {PATIENCE} s")


def main(command: str, folder: str, version: str) -> None:
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(PATIENCE)
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("DSOCK_")},
            "HOME": empty,
            "DSOCK_HOST": "127.0.0.1",
            "DSOCK_PORT": "0",
            "DSOCK_TOKEN": TOKEN,
        }
        check_package(Path(folder).resolve(), version)
        check_commands(command, version, environment)
        check_node(command, environment)
        os.chdir("/")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Broken as broken:
        sys.exit(str(broken))
