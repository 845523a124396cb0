"""What is measured: one module a kind, and here the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.brokers import Place
from bench.effort import Shape
from bench.shapes import channel, connects, idle, users

ALL = tuple(Place)
MEMORY = (Place.MEMORY,)

SHAPES: Mapping[str, tuple[Shape, Sequence[Place]]] = {
    "channel": (channel.small, ALL),
    "large-channel": (channel.large, ALL),
    "user": (users.one_user, ALL),
    "users": (users.many_users, ALL),
    "connects": (connects.connects, ALL),
    "idle-memory": (idle.idle_memory, MEMORY),
    "idle-cpu": (idle.idle_cpu, MEMORY),
}
"""By the name that `--only` takes: what measures it, and where it is measured."""
