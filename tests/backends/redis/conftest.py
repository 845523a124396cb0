"""The parts of the Redis backend, each alone with a Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from dsock.backends.redis.calls import Connect
from dsock.backends.redis.connections import connector
from dsock.backends.redis.mailbox import Mailbox
from dsock.backends.redis.pipe import Pipe
from dsock.settings import Settings
from tests.faults.proxy import Proxy, proxy_to
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

NewPipe = Callable[..., Pipe]


def connect_to(address: str, decode: bool = True) -> Connect:
    return connector(Settings(redis_host=address), decode=decode)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis to break."""
    with RedisServer() as server:
        yield server


@pytest.fixture
async def proxy(own_redis: RedisServer) -> AsyncIterator[Proxy]:
    """A wire to that Redis, to break."""
    async with proxy_to(own_redis.port) as proxy:
        yield proxy


@pytest.fixture
async def new_pipe() -> AsyncIterator[NewPipe]:
    """Makes pipes to an address, which are closed at the end."""
    async with AsyncExitStack() as stack:

        def make(
            address: str, timeout: float = 2.0, changed: Callable[[bool], None] | None = None
        ) -> Pipe:
            pipe = Pipe(
                connect_to(address),
                timeout=timeout,
                max_retries=10,
                changed=lambda reached, _: changed(reached) if changed else None,
            )
            stack.push_async_callback(pipe.close)
            return pipe

        yield make


class Listener:
    """A mailbox on these channels, what it has received, and how often it subscribed."""

    def __init__(self, address: str, *channels: str) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.heard: list[bool] = []
        """Whether the mailbox heard, after each."""
        self.subscriptions = 0
        self.mailbox = Mailbox(
            connect_to(address, decode=False), channels, self._receive, self._subscribed
        )

    def _receive(self, channel: str, payload: bytes) -> None:
        self.mailbox.probed(payload.decode())
        self.received.append((channel, payload))
        self.heard.append(self.mailbox.hears)

    async def more(self) -> None:
        """Return once something more has come in."""
        count = len(self.received)
        await eventually(lambda: len(self.received) > count)

    def _subscribed(self) -> None:
        self.subscriptions += 1


NewListener = Callable[..., Listener]


@pytest.fixture
async def new_listener() -> AsyncIterator[NewListener]:
    """Makes mailboxes that are closed at the end."""
    async with AsyncExitStack() as stack:

        def make(address: str, *channels: str) -> Listener:
            listener = Listener(address, *channels)
            stack.push_async_callback(listener.mailbox.close)
            return listener

        yield make
