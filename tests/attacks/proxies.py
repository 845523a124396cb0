"""nginx and haproxy in front of a node, on ports of their own, as the documentation has them."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.redis_server import free_port

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / ".venv" / "proxies" / "usr" / "sbin"
"""Where `scripts/install-test-tools` unpacks them."""

DOCS = ROOT / "docs" / "operations.md"

NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{servers}
}}
"""

HAPROXY = """\
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 90s

frontend clients
    bind 127.0.0.1:{port}
    option forwardfor
    http-request deny unless {{ path /connect }}
    default_backend workers

backend workers
    http-reuse always
    server worker {address}
"""
"""Requests of all clients share connections to the node: what one leaves behind meets the next."""


def documented(address: str, port: int) -> str:
    """The nginx block of `docs/operations.md`, for this worker and port."""
    [block] = re.findall(r"```nginx\n(.*?)```", DOCS.read_text(), re.DOTALL)
    block = re.sub(r"(?m)^    server 10\.0\.0\.12:6241;\n", "", block)
    block = block.replace("10.0.0.11:6241", address)
    return block.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")


@asynccontextmanager
async def nginx(address: str, folder: Path) -> AsyncIterator[str]:
    """nginx in front of the node at this address; gives its own."""
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, servers=documented(address, port)))
    async with _running(port, "nginx", "-p", str(folder), "-c", str(file)) as front:
        yield front


@asynccontextmanager
async def haproxy(address: str, folder: Path) -> AsyncIterator[str]:
    """haproxy in front of the node at this address; gives its own."""
    port = free_port()
    file = folder / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=port, address=address))
    async with _running(port, "haproxy", "-db", "-f", str(file)) as front:
        yield front


@asynccontextmanager
async def _running(port: int, program: str, *arguments: str) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        PROGRAMS / program,
        *arguments,
        env={"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.DEVNULL,
    )

    async def listens() -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    try:
        await eventually(listens)
        yield f"127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
