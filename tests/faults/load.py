"""Back ends and users who are at it all the time, and write down what they see."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import count
from math import inf
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from dsock.target import Target, ToChannel, ToConnection, ToUser
from tests.faults.ledger import (
    Answer,
    Client,
    Disconnected,
    Ledger,
    Message,
    Moved,
    Sent,
    Shown,
)
from tests.support.cluster import Caller, Reply
from tests.support.listener import by_jwt

USERS = ("u0", "u1", "u2")
OF_CLAIMS = ("c0", "c1")
MOVED = ("m0", "m1")
"""Channels of claims, and those that clients are moved in and out of: nobody does both."""

CLIENTS, SENDERS, MOVERS = 9, 5, 2
CLAIM_LIVES = 5
"""Seconds."""

OF_JWTS, NOT_WAITED = 0.3, 0.15
"""How many of the clients come with a JWT, and how many of the sends wait for no worker."""

NOBODY = "127.0.0.1:1"

LARGEST = 3000
"""Bytes that are added to a message at most."""


class Member:
    """A client and its socket."""

    def __init__(self, client: Client, socket: ClientConnection) -> None:
        self.client = client
        self.socket = socket

    @property
    def target(self) -> ToUser:
        return ToUser(self.client.user, self.client.session)


class Load:
    """`apis` and `workers` say where these are now; a place may be empty for a while."""

    def __init__(
        self, ledger: Ledger, apis: list[Caller], workers: list[str], seed: int = 0
    ) -> None:
        self.ledger = ledger
        self.members: list[Member] = []
        """Who is open now and means to stay, as far as is known."""
        self._apis = apis
        self._workers = workers
        self._random = random.Random(seed)
        self._names = count(1)
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._left = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All are at it inside this context; then the back ends stop, and all clients leave
        in good order."""
        users = [asyncio.create_task(self._use(place)) for place in range(CLIENTS)]
        back_ends = [asyncio.create_task(self._send(f"s{place}")) for place in range(SENDERS)]
        back_ends += [asyncio.create_task(self._move(place)) for place in range(MOVERS)]
        back_ends += [asyncio.create_task(self._disconnect()), asyncio.create_task(self._look())]
        try:
            yield
            for task in (*users, *back_ends):
                if task.done():
                    task.result()
            self._over.set()
            await asyncio.gather(*back_ends)
            self._left.set()
            await asyncio.gather(*users)
        finally:
            for task in (*users, *back_ends):
                task.cancel()
            await asyncio.gather(*users, *back_ends, return_exceptions=True)

    # --- users ---------------------------------------------------------------------------

    async def _use(self, place: int) -> None:
        user, stays = USERS[place % len(USERS)], place % 3 != 0
        while not self._left.is_set():
            name = f"k{next(self._names)}"
            channels = frozenset(one for one in OF_CLAIMS if self._random.random() < 0.5)
            clients = []
            if self._random.random() < OF_JWTS:
                clients = [Client(name, user, name, channels, claimed=inf)]
            elif claim := await self._claim(user, name, channels):
                # Now and then two come with the same one.
                rivals = [name, f"{name}x"] if self._random.random() < 0.2 else [name]
                now = self._loop.time()
                clients = [
                    Client(rival, user, name, channels, claim=claim, claimed=now)
                    for rival in rivals
                ]
            await asyncio.gather(*(self._visit(client, stays) for client in clients))
            await self._rest(0.1, 0.4, self._left)

    async def _claim(self, user: str, session: str, channels: frozenset[str]) -> str:
        given = {"channels": ",".join(sorted(channels))} if channels else {}
        who: dict[str, Any] = {"user": user, "session": session, "duration": CLAIM_LIVES}
        _, reply = await self._call("POST", "/claim", **who, **given)
        return str(reply.json["claim"]["id"]) if reply and reply.status == 200 else ""

    async def _visit(self, client: Client, stays: bool) -> None:
        self.ledger.clients.append(client)
        place = self._random.randrange(len(self._workers))
        client.worker = f"worker {place}"
        by = f"claim={client.claim}" if client.claim else _by_jwt(client)
        url = f"ws://{self._workers[place] or NOBODY}/connect?{by}"
        try:
            socket = await connect(
                url,
                max_queue=None,
                ping_interval=None,
                proxy=None,
                open_timeout=8,
                close_timeout=3,
            )
        except (OSError, TimeoutError, WebSocketException):
            client.closed = self._loop.time()
            return
        client.opened = self._loop.time()
        member = Member(client, socket)
        self.members.append(member)
        beside = [
            asyncio.create_task(self._learn_id(member)),
            asyncio.create_task(self._leave(member, inf if stays else self._random.uniform(1, 5))),
        ]
        try:
            await self._read(member)
        finally:
            await self._cancel(beside)

    async def _read(self, member: Member) -> None:
        client = member.client
        try:
            while True:
                text = await member.socket.recv()
                words = (text if isinstance(text, str) else text.decode()).split(" ")
                message = Message(words[0], int(words[1]))
                client.received.append((self._loop.time(), message))
        except ConnectionClosed as closed:
            client.closed = self._loop.time()
            client.code = closed.rcvd.code if closed.rcvd else None
            if closed.rcvd and closed.rcvd_then_sent and client.code == 1000:
                client.left = inf  # The server was first.
        if member in self.members:
            self.members.remove(member)

    async def _leave(self, member: Member, after: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(None if after == inf else after):
                await self._left.wait()
        if member in self.members:
            self.members.remove(member)
            member.client.left = self._loop.time()
        await member.socket.close()

    async def _learn_id(self, member: Member) -> None:
        while not member.client.id:
            await self._rest(0.05, 0.2)
            shown = await self._shown(member)
            if shown and len(shown.ids) == 1:
                [member.client.id] = shown.ids

    def vanish(self, chance: random.Random) -> None:
        """Some clients are gone, without a word."""
        for member in self._some(chance):
            member.socket.transport.abort()

    def stall(self, chance: random.Random) -> Callable[[], None]:
        """Some clients read no more, until what is returned is called."""
        chosen = self._some(chance)
        for member in chosen:
            member.socket.transport.pause_reading()

        def go_on() -> None:
            for member in chosen:
                member.socket.transport.resume_reading()

        return go_on

    def _some(self, chance: random.Random) -> list[Member]:
        chosen = chance.sample(self.members, min(len(self.members), chance.randint(1, 3)))
        for member in chosen:
            # What becomes of it now is its own doing.
            member.client.left = self._loop.time()
            self.members.remove(member)
        return chosen

    # --- back ends -----------------------------------------------------------------------

    async def _send(self, sender: str) -> None:
        place = -1
        for number in count():
            if self._over.is_set():
                return
            place = self._random.randrange(len(self._apis)) if place < 0 else place
            target = self._target()
            body = f"{sender} {number} {'x' * int(LARGEST * self._random.random() ** 4)}"
            type = self._random.choice(("text", "binary"))
            asked = {**_asked(target), "type": type}
            waited = self._random.random() >= NOT_WAITED
            if not waited:
                asked["report"] = "false"
            answer, _ = await self._call("POST", "/send", body, place, **asked)
            answer = replace(answer, waited=waited)
            self.ledger.sent.append(Sent(Message(sender, number), target, answer))
            if waited or not answer.heard:
                # What nobody has waited for is under way: another API may be faster.
                place = -1
            await self._rest(0.0, 0.06)

    def _target(self) -> Target:
        member = self._random.choice(self.members) if self.members else None
        if member and member.client.id and self._random.random() < 0.25:
            return ToConnection(member.client.id)
        if member and self._random.random() < 0.25:
            return member.target
        if self._random.random() < 0.4:
            return ToUser(self._random.choice(USERS))
        return ToChannel(self._random.choice(OF_CLAIMS + MOVED))

    async def _move(self, place: int) -> None:
        channel, is_in = MOVED[place], set[str]()
        while not self._over.is_set():
            if self.members:
                member = self._random.choice(self.members)
                subscribed = member.client.name not in is_in
                verb = "subscribe" if subscribed else "unsubscribe"
                path = f"/channel/{verb}/{channel}"
                answer, _ = await self._call("POST", path, **_asked(member.target))
                self.ledger.moved.append(Moved(member.target, channel, subscribed, answer))
                if answer.heard:
                    is_in ^= {member.client.name}
            await self._rest(0.05, 0.25)

    async def _disconnect(self) -> None:
        while not self._over.is_set():
            await self._rest(0.5, 1.5, self._over)
            if not self.members:
                continue
            member, chance = self._random.choice(self.members), self._random.random()
            target: Target = member.target
            if chance < 0.2:
                target = ToUser(member.client.user)
            elif chance < 0.3:
                target = ToChannel(self._random.choice(MOVED))
            elif chance < 0.5 and member.client.id:
                target = ToConnection(member.client.id)
            answer, _ = await self._call("POST", "/disconnect", **_asked(target))
            self.ledger.disconnected.append(Disconnected(target, answer))

    async def _look(self) -> None:
        while not self._over.is_set():
            if self.members:
                shown = await self._shown(self._random.choice(self.members))
                if shown:
                    self.ledger.shown.append(shown)
            await self._rest(0.1, 0.4)

    async def _shown(self, member: Member) -> Shown | None:
        answer, reply = await self._call("GET", "/info", **_asked(member.target))
        listed = reply.json.get("connections", []) if reply else []
        return Shown(member.target, frozenset(one["id"] for one in listed), answer)

    async def _call(
        self, method: str, path: str, body: str = "", place: int = -1, /, **params: Any
    ) -> tuple[Answer, Reply | None]:
        """Ask any API, or the one at this place."""
        began = self._loop.time()
        api = self._random.choice(self._apis) if place < 0 else self._apis[place]
        try:
            reply = await api.call(method, path, body, **params)
        except (httpx.HTTPError, ValueError, RuntimeError):
            return Answer(began, self._loop.time(), 0), None
        report = dict(reply.json.get("report", {}))
        report.pop("workers", None)
        return Answer(began, self._loop.time(), reply.status, **report), reply

    async def _rest(self, least: float, most: float, until: asyncio.Event | None = None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._random.uniform(least, most)):
                await (until or asyncio.Event()).wait()

    async def _cancel(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _by_jwt(client: Client) -> str:
    return by_jwt(client.user, *sorted(client.channels), session=client.session)


def _asked(target: Target) -> dict[str, str]:
    """The parameters that name a target."""
    if isinstance(target, ToConnection):
        return {"id": target.id}
    if isinstance(target, ToChannel):
        return {"channel": target.channel}
    return {"user": target.user} | ({"session": target.session} if target.session else {})
