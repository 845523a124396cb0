"""Nodes in this process, as a back end and its users see them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
from websockets.asyncio.client import ClientConnection, connect

from dsock.node import Node, Role, plan, up
from dsock.settings import Settings
from tests.support.redis_server import Servers
from tests.support.together import together

TOKEN = "token-canary-8c1f"
JWT_SECRET = "jwt-secret-canary-5d2a-0123456789abcdef"


class Reply(NamedTuple):
    status: int
    json: dict[str, Any]
    headers: httpx.Headers

    @property
    def report(self) -> dict[str, int]:
        report: dict[str, int] = self.json["report"]
        return report

    @property
    def code(self) -> str:
        """The error code."""
        code: str = self.json["errorCode"]
        return code


class Caller:
    """A back end that calls one API node."""

    def __init__(self, url: str, token: str | None = TOKEN) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = url
        self.http = httpx.AsyncClient(base_url=url, headers=headers, timeout=20)

    async def call(self, method: str, path: str, body: bytes | str = b"", **params: Any) -> Reply:
        content = body.encode() if isinstance(body, str) else body
        try:
            response = await self.http.request(method, path, content=content, params=params)
        except AttributeError as error:
            # anyio asks the socket for its peer, also when the peer was killed meanwhile.
            raise httpx.ConnectError(str(error)) from error
        return Reply(response.status_code, json.loads(response.content), response.headers)

    async def claim(self, user: str, **params: Any) -> str:
        """A new claim's id."""
        reply = await self.call("POST", "/claim", user=user, **params)
        assert reply.status == 200, reply
        id: str = reply.json["claim"]["id"]
        return id

    async def send(self, body: bytes | str, type: str = "text", **target: Any) -> Reply:
        return await self.call("POST", "/send", body, type=type, **target)

    async def disconnect(self, **target: Any) -> Reply:
        return await self.call("POST", "/disconnect", **target)

    async def info(self, **target: Any) -> dict[str, Any]:
        reply = await self.call("GET", "/info", **target)
        assert reply.status == 200, reply
        return reply.json

    async def subscribe(self, channel: str, **target: Any) -> Reply:
        return await self.call("POST", f"/channel/subscribe/{quote(channel, '')}", **target)

    async def unsubscribe(self, channel: str, **target: Any) -> Reply:
        return await self.call("POST", f"/channel/unsubscribe/{quote(channel, '')}", **target)


@dataclass
class Cluster:
    """`workers` are the addresses (host:port) that clients connect to; `nodes` the parts,
    for what cannot be seen from outside."""

    backend: str
    apis: list[Caller]
    workers: list[str]
    nodes: list[Node]

    @property
    def api(self) -> Caller:
        return self.apis[0]

    def url(self, query: str = "", worker: int = 0) -> str:
        return f"ws://{self.workers[worker]}/connect{query}"

    @asynccontextmanager
    async def client(
        self, user: str, worker: int = 0, api: int = 0, **claim: Any
    ) -> AsyncIterator[ClientConnection]:
        """A connected client of this user."""
        id = await self.apis[api].claim(user, **claim)
        # It takes what comes though the test does not ask, or it would answer no ping.
        async with connect(self.url(f"?claim={id}", worker), max_queue=None) as client:
            yield client


@asynccontextmanager
async def node_up(role: Role, **settings: Any) -> AsyncIterator[tuple[Node, str]]:
    """A node of this role, and its address."""
    options = {"port": 0, "host": "127.0.0.1", "token": (TOKEN,), "jwt_secret": (JWT_SECRET,)}
    # The tests end without a drain: their clients have left.
    async with up(plan(role, Settings(**{**options, **settings}))) as (node, port):
        yield node, f"127.0.0.1:{port}"


@asynccontextmanager
async def memory_cluster(**settings: Any) -> AsyncIterator[Cluster]:
    async with node_up("serve", **settings) as (node, address):
        caller = Caller(f"http://{address}")
        async with caller.http:
            yield Cluster("memory", [caller, caller], [address, address], [node])


def direct(address: str = "127.0.0.1") -> dict[str, Any]:
    """The settings of a node with direct messaging."""
    return {"messaging_method": "direct", "direct_message_hostname": address}


@asynccontextmanager
async def redis_cluster(servers: Servers, **settings: Any) -> AsyncIterator[Cluster]:
    """Two workers and two API nodes, which start and stop side by side: there are many tests."""
    settings |= servers.options
    workers = (node_up("worker", **settings) for _ in range(2))
    apis = (node_up("api", **settings) for _ in range(2))
    async with together(*workers, *apis) as up:
        callers = [Caller(f"http://{address}") for _, address in up[2:]]
        async with callers[0].http, callers[1].http:
            method = settings.get("messaging_method", "redis")
            addresses = [address for _, address in up[:2]]
            yield Cluster(method, callers, addresses, [node for node, _ in up])
