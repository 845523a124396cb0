"""A node without sockets: its HTTP protocol between requests that may say anything and a
transport of paper."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httptools
import pytest
import uvicorn
from uvicorn.server import ServerState

from dsock.http.incoming import Incoming
from dsock.http.protocol import HttpProtocol
from dsock.http.rules import Rules
from dsock.node import Node
from tests.fuzz.client import Paper
from tests.support.cluster import node_up
from tests.support.eventually import next_turn

TURNS = 200
"""Turns of the loop within which whatever can be answered is."""


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error code; empty in a success."""
        content = json.loads(self.body) if self.body.startswith(b"{") else {}
        code: str = content.get("errorCode", "")
        return code


class _Pipe(Paper):
    """Knows which protocol has it, as a socket's transport does."""

    protocol: asyncio.BaseProtocol

    def write(self, data: Any) -> None:
        # An answer to who was refused meanwhile reaches nobody.
        if not self.closed:
            super().write(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default


class Door:
    """One node; `faults` has what its loop was told of and nobody has caught."""

    def __init__(self, node: Node, app: Any, rules: Rules) -> None:
        self.node = node
        self.faults: list[dict[str, Any]] = []
        self._rules = rules
        self._config = uvicorn.Config(
            app,
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        self._config.load()
        self._incoming = Incoming()
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self._others = asyncio.all_tasks()

    async def ask(self, segments: Sequence[bytes]) -> list[Response]:
        """What is answered to these bytes; then the client is gone, and nothing of it is left.
        Fails when anything breaks on the way."""
        pipe = _Pipe()
        protocol = HttpProtocol(
            config=self._config,
            server_state=ServerState(),
            app_state={},
            _loop=self._loop,
            rules=self._rules,
            incoming=self._incoming,
        )
        pipe.set_protocol(protocol)
        protocol.connection_made(pipe)
        for segment in segments:
            if segment and not pipe.closed:
                self._protocol(pipe).data_received(segment)
        await self._quiet()
        responses = read(bytes(pipe.written))
        self._protocol(pipe).connection_lost(None)
        assert await self._quiet(), "a task goes on for a client that is gone"
        assert self.node.worker
        assert self.node.worker.registry.sizes() == (0, 0, 0)
        faults, self.faults = self.faults, []
        assert faults == [], faults
        return responses

    @staticmethod
    def _protocol(pipe: _Pipe) -> asyncio.Protocol:
        protocol = pipe.protocol
        assert isinstance(protocol, asyncio.Protocol)
        return protocol

    async def _quiet(self) -> bool:
        # Whether nothing is under way; what waits for a body that does not come is.
        me = asyncio.current_task()
        for _ in range(TURNS):
            await next_turn()
            if not self._incoming._readers and asyncio.all_tasks() <= self._others | {me}:
                await next_turn()
                return True
        return False


@asynccontextmanager
async def door(**settings: Any) -> AsyncIterator[Door]:
    """A node on memory, at which nobody listens."""
    served: list[tuple[Any, Rules]] = []

    @asynccontextmanager
    async def serving(app: Any, _: object, rules: Rules) -> AsyncIterator[None]:
        served.append((app, rules))
        yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dsock.node.serving", serving)
        async with node_up("serve", **settings) as (node, _):
            yield Door(node, *served[0])


class _Reader:
    """Reads one response after the other."""

    def __init__(self) -> None:
        self.responses: list[Response] = []
        self.whole = True
        self._headers: dict[str, str] = {}
        self._body = b""
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self._headers, self._body, self.whole = {}, b"", False

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode().lower()
        # Of those that are answered, this one is a list (RFC 9110, section 7.6.1).
        assert key == "connection" or key not in self._headers, "a header twice"
        self._headers[key] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        self.responses.append(Response(status, self._headers, self._body))
        self.whole = True


def read(written: bytes) -> list[Response]:
    """The responses in what was written; fails when it is anything but whole responses."""
    reader = _Reader()
    try:
        reader.parser.feed_data(written)
    except httptools.HttpParserUpgrade:
        assert reader.responses[-1].status == 101
    assert reader.whole, "half a response"
    return reader.responses
