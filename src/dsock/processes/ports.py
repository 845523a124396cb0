"""One port for several processes.

Each process has a listening socket of its own on it, among which the system spreads the
clients. The parent keeps all of them open: when a process dies, those who wait at its socket
are served by the one that takes its place at once.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from itertools import zip_longest

from dsock.errors import StartError
from dsock.http.server import Sockets, bind
from dsock.settings import Settings

MAX_PORT = 65535


class Ports(AbstractContextManager["Ports"]):
    """The sockets of each of `count` processes; `direct`: with one on a port of its own.

    Raises `StartError`.
    """

    def __init__(self, settings: Settings, count: int, direct: bool) -> None:
        self._host = settings.host
        self._can_share = hasattr(socket, "SO_REUSEPORT")
        with ExitStack() as opened:

            def open_all(sockets: Iterator[socket.socket]) -> list[socket.socket]:
                return [opened.enter_context(closing(sock)) for sock in sockets]

            publics = open_all(self._several(settings.port, count))
            internals: list[socket.socket] = []
            if settings.internal_port is not None:
                internals = open_all(self._several(settings.internal_port, count))
            directs: list[socket.socket] = []
            for port in _own_ports(settings.direct_message_port, count) if direct else ():
                directs += open_all(self._several(port, 1))
            self.each = [Sockets(*one) for one in zip_longest(publics, internals, directs)]
            opened.pop_all()

    @property
    def public(self) -> int:
        """The port that all share."""
        port: int = self.each[0].public.getsockname()[1]
        return port

    def keep(self, index: int) -> Sockets:
        """The sockets of one process, which closes those of the others."""
        mine = self.each[index]
        for sock in (sock for one in self.each for sock in one.all()):
            if sock not in mine.all():
                sock.close()
        return mine

    def shut(self, index: int) -> None:
        """Let nobody wait for this process: until the next one of this index listens, the
        system sends clients to the others. The port stays taken."""
        if not self._can_share:
            return
        old = self.each[index]
        self.each[index] = Sockets(
            self._again(old.public),
            old.internal and self._again(old.internal),
            old.direct and self._again(old.direct),
        )
        for sock in old.all():
            sock.close()

    def close(self) -> None:
        """Leave the sockets to the processes: who comes to one that has ended is refused."""
        for sock in (sock for one in self.each for sock in one.all()):
            sock.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _several(self, port: int, count: int) -> Iterator[socket.socket]:
        if not self._can_share:
            yield from [bind(self._host, port)] * count
            return
        # Sharing is for these alone: whoever else listens there is in the way, as ever.
        bind(self._host, port).close()
        for _ in range(count):
            sock = bind(self._host, port, shared=True)
            port = sock.getsockname()[1]
            yield sock

    def _again(self, old: socket.socket) -> socket.socket:
        # One that was shut and listens again would get no clients.
        return bind(self._host, old.getsockname()[1], shared=True, listen=False)


def _own_ports(first: int | None, count: int) -> list[int]:
    if not first:
        return [0] * count
    if first + count - 1 > MAX_PORT:
        raise StartError(f"direct_message_port: {count} processes need as many ports from there")
    return list(range(first, first + count))
