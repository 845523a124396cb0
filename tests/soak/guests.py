"""Clients that come and go: some read, some are slow, some just vanish."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import jwt

from tests.support.cluster import JWT_SECRET, Caller
from tests.support.wire import CLOSE, PONG, frame, handshake

ROOMS = 40
"""Channels in which the guests are."""

USERS = 200

LIFE = 8.0
"""Seconds for which a guest stays on average."""

_PING = b"\x89\x00"
_BYE = frame(CLOSE, (1000).to_bytes(2, "big"))
_CUT = struct.pack("ii", 1, 0)

OFFER = "permessage-deflate; client_max_window_bits"


class Names:
    """Of users and channels, drawn by `chance`; each `round` has others, so that what is kept
    for a name shows."""

    def __init__(self, round: int, chance: random.Random) -> None:
        self._round = round
        self._chance = chance

    def user(self) -> str:
        return f"user-{self._round}-{self._chance.randrange(USERS)}"

    def slow(self) -> str:
        """The user that all who are slow are."""
        return f"slow-{self._round}"

    def room(self) -> str:
        return f"room-{self._round}-{self._chance.randrange(ROOMS)}"


class Guest(asyncio.Protocol):
    """One client; messages never have the bytes of a ping in them."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.is_in = asyncio.Event()
        self.gone = asyncio.Event()
        self.refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.is_in.is_set():
            self.refused = not data.startswith(b"HTTP/1.1 101")
            self.is_in.set()
        if _PING in data:
            self.transport.write(frame(PONG))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_in.set()
        self.gone.set()


class Guests:
    """All of them; `came`, `refused` count, and `away` those who were not even given a claim."""

    def __init__(self, caller: Caller, addresses: list[str], round: int) -> None:
        self.came = self.refused = self.away = 0
        self.ids: list[str] = []
        """Of some connections, perhaps closed by now."""
        self._caller = caller
        self._addresses = addresses
        self._chance = random.Random(round)
        self._names = Names(round, self._chance)
        self._leave = asyncio.Event()

    async def come(self, rate: float, seconds: float) -> None:
        """So many come in a second; all have left at the end."""
        start = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as staying:
            for number in range(int(rate * seconds)):
                await _until(start + number / rate)
                staying.create_task(self._visit())
            self._leave.set()

    async def _visit(self) -> None:
        guest = Guest()
        host, _, port = self._chance.choice(self._addresses).rpartition(":")
        kind = self._chance.random()
        user = self._names.slow() if kind < 0.1 else self._names.user()
        sock = socket.socket()
        sock.setblocking(False)
        if kind < 0.1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        offer = OFFER if kind > 0.5 else ""
        try:
            query = await self._credential(user)
        except httpx.TransportError:
            # The machine does too much else, or the broker too little: the hour goes on.
            self.away += 1
            sock.close()
            return
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (host, int(port)))
        await loop.create_connection(lambda: guest, sock=sock)
        guest.transport.write(handshake(f"/connect?{query}", sec_websocket_extensions=offer))
        await guest.is_in.wait()
        self.came += 1
        self.refused += guest.refused
        if self._chance.random() < 0.2:
            await self._look_up(user)
        await self._stay(guest, sock, kind)

    async def _stay(self, guest: Guest, sock: socket.socket, kind: float) -> None:
        if kind < 0.1:
            guest.transport.pause_reading()  # slow; one that is silent, too: no more pongs
        stay = self._chance.expovariate(1 / LIFE)
        await _first(stay, guest.gone.wait, self._leave.wait)
        if guest.gone.is_set():
            return
        if kind < 0.3:
            # It vanishes without a goodbye: the connection is reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CUT)
        else:
            guest.transport.write(_BYE)
            await _first(5.0, guest.gone.wait)
        guest.transport.abort()
        await guest.gone.wait()

    async def _credential(self, user: str) -> str:
        rooms = [self._names.room() for _ in range(2)]
        if self._chance.random() < 0.5:
            payload = {"sub": user, "sid": "s", "channels": rooms, "exp": time.time() + 3600}
            return f"jwt={jwt.encode(payload, JWT_SECRET)}"
        claim = {"session": "s", "channels": ",".join(rooms), "duration": 5}
        if self._chance.random() < 0.1:
            await self._caller.claim(user, **claim)  # nobody comes with this one
        return f"claim={await self._caller.claim(user, **claim)}"

    async def _look_up(self, user: str) -> None:
        with suppress(httpx.TransportError):
            found = await self._caller.info(user=user)
            self.ids = [one["id"] for one in found["connections"]] + self.ids[:50]


async def _until(moment: float) -> None:
    late = moment - asyncio.get_running_loop().time()
    if late > 0:
        await _first(late)


async def _first(within: float, *events: Callable[[], Awaitable[object]]) -> None:
    """Return with the first of these, or when the time is over."""
    tasks = [asyncio.ensure_future(one()) for one in (*events, asyncio.Event().wait)]
    await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
