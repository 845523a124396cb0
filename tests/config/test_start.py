"""Real nodes and their config files: what a first start writes and a second one reads."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dsock.config import default_file
from tests.support.process import Process
from tests.support.redis_server import RedisServer, free_port

CANARY = "canary-57a7"
DSOCK = (sys.executable, "-m", "dsock")


@asynccontextmanager
async def started(folder: Path, *command: str, **options: str) -> AsyncIterator[Process]:
    """This command in this folder, which is its home too; killed at the end if it runs."""
    environment = {name: text for name, text in os.environ.items() if "DSOCK" not in name}
    environment |= {"HOME": str(folder), "DSOCK_HOST": "127.0.0.1", "DSOCK_TOKEN": CANARY}
    environment |= {f"DSOCK_{name.upper()}": text for name, text in options.items()}
    one = Process(
        await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            cwd=folder,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    )
    try:
        yield one
    finally:
        await one.kill()


async def run_once(folder: Path, *command: str, **options: str) -> list[str]:
    """Start it, stop it once it listens, and return what it has logged."""
    async with started(folder, *command, **options) as node:
        await node.listening()
        node.signal(signal.SIGTERM)
        assert await node.ended() == 0
    return node.log


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("role", ["serve", "api", "worker"])
async def test_b79_a_first_start_writes_a_file_without_secrets_and_the_next_one_reads_it(
    role: str, tmp_path: Path, redis: RedisServer
) -> None:
    options = {"port": "0", "redis_host": redis.address, "drain_duration": "0s"}
    log = await run_once(tmp_path, *DSOCK, role, **options)
    path = tmp_path / "config.toml"
    assert [str(path) in line for line in log if "config file written" in line] == [True]
    assert path.read_text() == default_file.text()
    log = await run_once(tmp_path, *DSOCK, role, **options)
    assert not any("config file" in line or "warning" in line for line in log)
    assert names_in(tmp_path) == ["config.toml"]


async def test_what_is_filled_in_counts_and_is_warned_of_where_others_can_read_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'port = 0\ndrain_duration = "0s"\njwt_secret = "{CANARY * 4}"\n')
    path.chmod(0o644)
    log = await run_once(tmp_path, *DSOCK, "serve")
    (warning,) = (line for line in log if "others can read it" in line)
    assert str(path) in warning
    assert CANARY not in "".join(log)


async def test_without_config_files_none_is_written(tmp_path: Path) -> None:
    await run_once(tmp_path, *DSOCK, "serve", "--no-config-file", port="0", drain_duration="0s")
    assert names_in(tmp_path) == []


async def test_b79_a_folder_that_takes_no_file_does_not_stop_a_node(tmp_path: Path) -> None:
    folder = tmp_path / "removed"
    folder.mkdir()
    command = ("sh", "-c", 'rmdir "$1"; shift; exec "$@"', "sh", str(folder), *DSOCK, "serve")
    log = await run_once(folder, *command, port="0", drain_duration="0s")
    assert not any("config file written" in line or "error" in line for line in log)
    assert not folder.exists()


async def port_of(folder: Path, **variables: str) -> int:
    """On which port a node listens that is told so by these variables alone."""
    command = ("env", *(f"{name}={value}" for name, value in variables.items()), *DSOCK)
    async with started(folder, *command, "serve", drain_duration="0s") as node:
        return int((await node.listening()).rpartition(":")[2])


async def test_a_node_listens_where_any_of_the_three_variables_says(tmp_path: Path) -> None:
    for variable in ("PORT", "DSOCK_PORT"):
        port = free_port()
        assert await port_of(tmp_path, **{variable: str(port)}) == port
    port = free_port()
    assert await port_of(tmp_path, DSOCK_ADDRESS=f"127.0.0.1:{port}", PORT="1") == port
