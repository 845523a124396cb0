"""What compressing a message saves on the wire and costs once, whoever many receive it.

The floor is what it costs to make the JSON that is compressed. Both run in the bench's own process,
on the generator's core.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from bench.brokers import Place
from bench.effort import Bench
from bench.figures import Figure, Sample, interleaved
from dsock.command import MessageType
from dsock.worker.frames import Frames

SIZES = (200, 2_000, 20_000)
TEXT = """
the order of a user was sent to the wrong place and is on its way back while support asks whether
the new address that we have on record since last week can be used from now on
"""


def documents(size: int) -> Iterator[dict[str, object]]:
    """Content as back ends push it, about `size` bytes as JSON; no two alike, the same in every
    run."""
    chance = random.Random(size)
    while True:
        items: list[dict[str, object]] = []
        document: dict[str, object] = {"type": "update", "items": items}
        while len(as_json(document)) < size:
            items.append(
                {
                    "id": chance.randrange(10**9),
                    "user": f"user-{chance.randrange(10**5)}",
                    "text": " ".join(chance.choices(TEXT.split(), k=chance.randrange(1, 16))),
                    "at": 1_790_000_000 + chance.randrange(10**6),
                    "read": chance.random() < 0.5,
                }
            )
        yield document


def as_json(document: dict[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def compression(bench: Bench, place: Place) -> Iterator[Figure]:
    """Microseconds of CPU to compress one message, beyond those for its frame."""
    for size in SIZES:
        made = documents(size)
        contents = [next(made) for _ in range(1_000_000 // (size + 1_000))]
        bodies = list(map(as_json, contents))
        plain = [Frames(MessageType.TEXT, body, None).plain for body in bodies]
        deflated = [Frames(MessageType.TEXT, body, 1).deflated() for body in bodies]
        saved = 1 - sum(map(len, deflated)) / sum(map(len, plain))
        taken = interleaved(
            bench.effort.rounds,
            {
                "making": partial(_making, contents),
                "compressing": partial(_compressing, bodies),
            },
        )
        yield Figure(
            shape=f"a JSON message of {size:,} bytes",
            place=place.value,
            name="to compress it, once for all",
            unit="us",
            samples=taken["compressing"],
            floor="to make the JSON",
            floor_samples=taken["making"],
            note=f"saves {saved:.0%} on the wire",
        )


def _making(contents: Sequence[dict[str, object]]) -> Sample:
    return Sample(cpu(as_json, contents) * 1e6)


def _compressing(bodies: Sequence[bytes]) -> Sample:
    both = cpu(lambda body: Frames(MessageType.TEXT, body, 1).deflated(), bodies)
    one = cpu(lambda body: Frames(MessageType.TEXT, body, None).deflated(), bodies)
    return Sample((both - one) * 1e6)


def cpu(action: Callable[[Any], object], over: Sequence[object]) -> float:
    """Seconds of this thread's CPU for one of these: the least of three passes."""
    least = float("inf")
    for _ in range(3):
        start = time.thread_time()
        for one in over:
            action(one)
        least = min(least, (time.thread_time() - start) / len(over))
    return least
