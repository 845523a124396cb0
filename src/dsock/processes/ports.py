"""One port for several processes.

Each process has a listening socket of its own on it, among which the system spreads the
clients. The parent keeps all of them open: when a process dies, those who wait at its socket
are served by the one that takes its place.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from dsock.errors import StartError
from dsock.http.server import Sockets, bind
from dsock.settings import Settings

MAX_PORT = 65535


@contextmanager
def open_sockets(settings: Settings, count: int, direct: bool) -> Iterator[list[Sockets]]:
    """The sockets of each of `count` processes; `direct`: with one on a port of its own.

    Raises `StartError`.
    """
    host = settings.host
    with ExitStack() as stack:

        def opened(sockets: Iterable[socket.socket]) -> list[socket.socket]:
            return [stack.enter_context(sock) for sock in sockets]

        publics = opened(_shared(host, settings.port, count))
        internals: list[socket.socket] | list[None] = [None] * count
        if settings.internal_port is not None:
            internals = opened(_shared(host, settings.internal_port, count))
        directs: list[socket.socket] | list[None] = [None] * count
        if direct:
            ports = _ports(settings.direct_message_port, count)
            directs = opened(bind(host, port) for port in ports)
        yield [Sockets(*each) for each in zip(publics, internals, directs, strict=True)]


def keep(all_sockets: Sequence[Sockets], index: int) -> Sockets:
    """The sockets of one process, which closes those of the others."""
    mine = all_sockets[index]
    for sockets in all_sockets:
        for sock in sockets.all():
            if sock not in mine.all():
                sock.close()
    return mine


def _shared(host: str, port: int, count: int) -> Iterator[socket.socket]:
    if not hasattr(socket, "SO_REUSEPORT"):
        yield from [bind(host, port)] * count
        return
    # Sharing is for these alone: whoever else listens there is in the way, as ever.
    bind(host, port).close()
    for _ in range(count):
        sock = bind(host, port, shared=True)
        port = sock.getsockname()[1]
        yield sock


def _ports(first: int | None, count: int) -> list[int]:
    if not first:
        return [0] * count
    if first + count - 1 > MAX_PORT:
        raise StartError(f"direct_message_port: {count} processes need as many ports from there")
    return list(range(first, first + count))
