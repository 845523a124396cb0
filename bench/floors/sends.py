"""The floor of deliveries: a tight loop of one `send()` per message over ready sockets.

The first connection that says a line is who gives orders: `SECONDS SIZE` sends frames of that
many bytes for that long, to everybody in turn, and answers with how many it has sent.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time

ORDER = 64
"""Bytes of an order at most."""


def main(port: int) -> None:
    receivers: list[socket.socket] = []
    watched = selectors.DefaultSelector()
    with socket.create_server(("127.0.0.1", port), backlog=4096) as server:
        watched.register(server, selectors.EVENT_READ)
        while True:
            for key, _ in watched.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is server:
                    accepted = server.accept()[0]
                    # As the product's sockets: otherwise a message would wait for the next.
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    receivers.append(accepted)
                    watched.register(accepted, selectors.EVENT_READ)
                    continue
                try:
                    order = sock.recv(ORDER).split()
                except ConnectionError:
                    order = []
                if sock in receivers:
                    receivers.remove(sock)
                if not order:
                    watched.unregister(sock)
                    sock.close()
                    continue
                sent = send_for(float(order[0]), receivers, b"x" * int(order[1]))
                sock.sendall(b"%d\n" % sent)


def send_for(seconds: float, receivers: list[socket.socket], frame: bytes) -> int:
    """Whole rounds over all receivers until the time is over; how many sends that were."""
    rounds, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for sock in receivers:
            sock.send(frame)
        rounds += 1
    return rounds * len(receivers)


if __name__ == "__main__":
    main(int(sys.argv[1]))
