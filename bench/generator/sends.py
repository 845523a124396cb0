"""Sends of the product, and those of the floor, until all that they bring has arrived."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

from bench.brokers import Broker
from bench.figures import Sample
from bench.generator.calls import Caller
from bench.generator.meter import metered
from bench.generator.receivers import Receivers

BODY = b"x" * 128


def sends(
    broker: Broker,
    caller: Caller,
    requests: Iterator[bytes],
    seconds: float,
    receivers: Receivers,
    *,
    copies: int,
    size: int,
) -> Sample:
    """Deliveries a second of these calls, each of which brings `copies` frames of `size`
    bytes."""
    receivers.empty()

    def action() -> int:
        answered = caller.run(requests, seconds, receivers)
        receivers.wait_for(answered * copies * size)
        return answered * copies

    return metered(action, broker.pids, broker.redis)


class TightLoop:
    """Gives the orders to `bench.floors.sends`, once its receivers are connected."""

    def __init__(self, floor: tuple[int, int]) -> None:
        self._pid, port = floor
        self._orders = socket.create_connection(("127.0.0.1", port))
        self._poll = select.epoll()
        self._poll.register(self._orders, select.EPOLLIN)

    def __enter__(self) -> TightLoop:
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()
        self._orders.close()

    def sends(self, seconds: float, receivers: Receivers, size: int) -> Sample:
        """Deliveries a second of frames of `size` bytes."""
        receivers.empty()

        def action() -> int:
            self._orders.sendall(b"%f %d" % (seconds, size))
            with receivers.waking(self._poll):
                while not self._answered(receivers.sweep()):
                    pass
            sent = int(self._orders.recv(64))
            receivers.wait_for(sent * size)
            return sent

        return metered(action, [self._pid])

    def _answered(self, within: float) -> bool:
        ready = self._poll.poll(within)
        return any(file == self._orders.fileno() for file, _ in ready)
