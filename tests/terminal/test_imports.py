"""What is loaded: nobody waits for what only another command needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import sys
from contextlib import suppress
from dsock.cli import main
with suppress(SystemExit):
    main({arguments})
print("\\n" + " ".join(sys.modules))
"""


def loaded(*arguments: str) -> set[str]:
    """The modules in a process that has run this command."""
    bare = {name: text for name, text in os.environ.items() if not name.startswith("DSOCK_")}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(arguments=list(arguments))],
        env=bare | {"DSOCK_URL": "http://127.0.0.1:1"} if "serve" not in arguments else bare,
        capture_output=True,
        check=True,
        text=True,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--version"], ["serve", "--port", "x"]], ids=" ".join)
def test_a_node_loads_nothing_that_only_the_terminal_needs(arguments: list[str]) -> None:
    modules = loaded(*arguments)
    mine = {name for name in modules if name.startswith("dsock.terminal.")}
    assert mine == {"dsock.terminal.commands"}
    assert not modules & {"urllib.request", "http.client", "websockets", "shtab"}


def test_a_call_loads_nothing_that_only_a_node_needs() -> None:
    modules = loaded("send", "--user", "1", "x")
    assert "dsock.terminal.call" in modules
    unneeded = {"uvicorn", "starlette", "redis", "uvloop", "asyncio", "websockets", "shtab"}
    assert not modules & (unneeded | {"dsock.node", "structlog", "google.protobuf"})


def test_only_a_listener_loads_a_websocket() -> None:
    modules = loaded("listen", "--user", "1")
    assert "websockets.sync.client" in modules
    assert not modules & {"uvicorn", "starlette", "redis", "uvloop", "shtab"}
