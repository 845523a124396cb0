"""Redis where one server at a time has everything."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakSet

from dsock.backends.redis.calls import Connect
from dsock.backends.redis.connections import database_of
from dsock.backends.redis.keys import Keys
from dsock.backends.redis.mailbox import Mailbox, Receive
from dsock.backends.redis.pipe import Pipe
from dsock.settings import Settings


class OneServer:
    """A `Topology`. `connect` and `listen` connect to that server, the second for
    subscriptions, whose messages are bytes."""

    def __init__(self, settings: Settings, connect: Connect, listen: Connect) -> None:
        self.keys = Keys(settings.redis_key_prefix, database_of(settings))
        self._settings = settings
        self._connect = connect
        self._listen = listen
        self._pipes: WeakSet[Pipe] = WeakSet()
        self._mailboxes: WeakSet[Mailbox] = WeakSet()

    async def open(self) -> None: ...

    def pipe(self, changed: Callable[[bool, str], None]) -> Pipe:
        settings = self._settings
        pipe = Pipe(
            self._connect,
            timeout=settings.redis_timeout,
            max_retries=settings.redis_max_retries,
            changed=changed,
        )
        self._pipes.add(pipe)
        return pipe

    def mailbox(
        self, channels: tuple[str, ...], receive: Receive, subscribed: Callable[[], None]
    ) -> Mailbox:
        mailbox = Mailbox(self._listen, channels, receive, subscribed)
        self._mailboxes.add(mailbox)
        return mailbox

    async def close(self) -> None: ...

    def _connect_anew(self) -> None:
        """Another server is the right one now."""
        for pipe in self._pipes:
            pipe.connect_anew()
        for mailbox in self._mailboxes:
            mailbox.rebuild()
