"""What compressing a message saves on the wire and costs once, whoever many receive it.

Run with `python -m bench.compression`. The yardstick, measured in the same run, is what one
receiver costs: `send()` of the plain frame to a socket that is read.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

from dsock.command import MessageType
from dsock.worker.frames import Frames

SIZES = (200, 2_000, 20_000)
TEXT = """
the order of a user was sent to the wrong place and is on its way back while support asks whether
the new address that we have on record since last week can be used from now on
"""


def documents(size: int) -> Iterator[bytes]:
    """JSON as back ends push it, about `size` bytes; no two alike, the same in every run."""
    chance = random.Random(size)
    while True:
        items: list[dict[str, object]] = []
        text = ""
        while len(text) < size:
            items.append(
                {
                    "id": chance.randrange(10**9),
                    "user": f"user-{chance.randrange(10**5)}",
                    "text": " ".join(chance.choices(TEXT.split(), k=chance.randrange(4, 16))),
                    "at": 1_790_000_000 + chance.randrange(10**6),
                    "read": chance.random() < 0.5,
                }
            )
            text = json.dumps({"type": "update", "items": items}, separators=(",", ":"))
        yield text[:size].encode()


def cpu(action: Callable[[bytes], object], bodies: list[bytes]) -> float:
    """Seconds of this thread's CPU for one body: the least of five rounds."""
    least = float("inf")
    for _ in range(5):
        start = time.thread_time()
        for body in bodies:
            action(body)
        least = min(least, (time.thread_time() - start) / len(bodies))
    return least


def sending() -> Callable[[bytes], object]:
    """Sends to a socket over loopback that another thread reads."""
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    reader, _ = server.accept()

    def read() -> None:
        while reader.recv(2**18):
            pass

    threading.Thread(target=read, daemon=True).start()
    return client.sendall


def main() -> None:
    send = sending()
    print("size    bytes on the wire   saved   to compress, in sends of the plain frame")
    for size in SIZES:
        made = documents(size)
        bodies = [next(made) for _ in range(2_000_000 // (size + 2_000))]
        plain = [Frames(MessageType.TEXT, body, None).plain for body in bodies]
        deflated = [Frames(MessageType.TEXT, body, 1).deflated() for body in bodies]
        saved = 1 - sum(map(len, deflated)) / sum(map(len, plain))
        both = cpu(lambda body: Frames(MessageType.TEXT, body, 1).deflated(), bodies)
        one = cpu(lambda body: Frames(MessageType.TEXT, body, None).deflated(), bodies)
        floor = cpu(send, plain)
        wire = sum(map(len, deflated)) // len(deflated)
        print(f"{size:6}  {wire:17}  {saved:6.0%}   {(both - one) / floor:.1f}")


if __name__ == "__main__":
    main()
