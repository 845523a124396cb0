"""What is measured: one module a kind, and here the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.brokers import Place
from bench.compression import compression
from bench.effort import Shape
from bench.shapes import (
    channel,
    connects,
    idle,
    info,
    large,
    latency,
    redis_cost,
    subscriptions,
    trouble,
    users,
)

ALL = tuple(Place)
MEMORY = (Place.MEMORY,)
ONE_CORE = (Place.MEMORY, Place.REDIS)

SHAPES: Mapping[str, tuple[Shape, Sequence[Place]]] = {
    "channel": (channel.small, ALL),
    "large-channel": (channel.large, ALL),
    "held": (channel.held, ONE_CORE),
    "user": (users.one_user, ALL),
    "users": (users.many_users, ALL),
    "connects": (connects.connects, ALL),
    "latency-user": (latency.to_user, ALL),
    "latency-channel": (latency.to_channel, ALL),
    "subscriptions": (subscriptions.subscribe, ALL),
    "info": (info.info, ONE_CORE),
    "idle-memory": (idle.idle_memory, MEMORY),
    "idle-cpu": (idle.idle_cpu, MEMORY),
    "large-messages": (large.messages, MEMORY),
    "many-connections": (large.connections, MEMORY),
    "many-channels": (subscriptions.many_channels, MEMORY),
    "churn": (trouble.churn, MEMORY),
    "stuck": (trouble.stuck, MEMORY),
    "compression": (compression, MEMORY),
    "redis-cost": (redis_cost.redis_cost, (Place.REDIS,)),
    "storm": (trouble.storm, (Place.REDIS,)),
}
"""By the name that `--only` takes: what measures it, and where it is measured."""
