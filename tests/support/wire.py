"""A socket without any manners: what it sends is up to the test, and it reads only when asked."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

PATIENCE = 10.0
"""Seconds after which a wait for the other side has failed."""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def code(self) -> str:
        code: str = self.json["errorCode"]
        return code


class Frame(NamedTuple):
    opcode: int
    body: bytes

    @property
    def close_code(self) -> int:
        assert self.opcode == CLOSE
        return int.from_bytes(self.body[:2], "big")


class Wire:
    """One TCP connection to a node."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._buffer = b""

    async def send(self, *parts: bytes | str) -> None:
        data = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
        async with asyncio.timeout(PATIENCE):
            await self._loop.sock_sendall(self.sock, data)

    async def response(self) -> Response:
        """The next HTTP response."""
        head = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        lines = (line.partition(":") for line in head[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in lines}
        return Response(status, headers, await self.read(int(headers.get("content-length", 0))))

    async def frame(self) -> Frame:
        """The next WebSocket frame."""
        first, second = await self.read(2)
        size, extended = second & 0x7F, {126: 2, 127: 8}
        if size in extended:
            size = int.from_bytes(await self.read(extended[size]), "big")
        return Frame(first & 0x0F, await self.read(size))

    async def goodbye(self) -> int:
        """The code of the close frame, whatever comes before it."""
        while (frame := await self.frame()).opcode != CLOSE:
            pass
        return frame.close_code

    async def read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            assert await self._receive(), f"ended after {self._buffer!r}"
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    async def end(self) -> bytes:
        """What comes until the other side hangs up."""
        while await self._receive():
            pass
        data, self._buffer = self._buffer, b""
        return data

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            assert await self._receive(), f"ended after {self._buffer!r}"
        data, _, self._buffer = self._buffer.partition(mark)
        return data

    async def _receive(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                data = await self._loop.sock_recv(self.sock, 2**18)
        except (ConnectionResetError, BrokenPipeError):
            return False
        self._buffer += data
        return bool(data)


@asynccontextmanager
async def dial(address: str, receive_buffer: int = 0) -> AsyncIterator[Wire]:
    """A connection to `host:port`; with `receive_buffer`, a system that takes in little."""
    host, _, port = address.rpartition(":")
    with socket.socket() as sock:
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        yield Wire(sock)


def request(method: str, target: str, body: bytes = b"", /, **headers: str) -> bytes:
    """A request; of a header's name, underscores are dashes. One with value "" is left out."""
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    lines = {"host": "dsock.test"}
    if body:
        lines["content-length"] = str(len(body))
    lines |= given
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body


def handshake(target: str, /, **headers: str) -> bytes:
    """The opening handshake of RFC 6455, with these headers instead of the usual."""
    usual = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec_websocket_key": KEY,
        "sec_websocket_version": "13",
    }
    return request("GET", target, **(usual | headers))


def frame(opcode: int, body: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A client's frame. It is masked with zeros, which leaves the body as it is."""
    size = len(body)
    length = (
        bytes([0x80 | size])
        if size < 126
        else bytes([0x80 | 126]) + size.to_bytes(2, "big")
        if size < 2**16
        else bytes([0x80 | 127]) + size.to_bytes(8, "big")
    )
    return bytes([fin << 7 | rsv << 4 | opcode]) + length + bytes(4) + body


@asynccontextmanager
async def open_wire(
    address: str, credential: str, receive_buffer: int = 0, /, **headers: str
) -> AsyncIterator[Wire]:
    """A client that has its 101. `credential` is the query of `/connect`."""
    async with dial(address, receive_buffer) as wire:
        await wire.send(handshake(f"/connect?{credential}", **headers))
        response = await wire.response()
        assert response.status == 101, response
        yield wire
