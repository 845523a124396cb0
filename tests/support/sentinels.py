"""A real master with a replica, and three Sentinels that watch over both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import redis

from tests.support.redis_server import RedisServer, Sentinel

NAME = "dsock-master"
PATIENCE = 20.0
"""Seconds to get ready."""


class WatchedRedis:
    """`Servers` in which the Sentinels say which one counts. A master that is silent for
    `down_after` seconds is replaced; `options` are for every server."""

    def __init__(
        self,
        *options: str,
        down_after: float = 1.0,
        sentinel_password: str = "",
        tls: bool = False,
    ) -> None:
        more = ("--tls-replication", "yes") if tls else ()
        self.servers = [RedisServer(*options, *more, tls=tls) for _ in range(2)]
        self._options, self._down_after, self._tls = options, down_after, tls
        self._sentinel_password = sentinel_password
        self.sentinels: list[Sentinel] = []
        self._stack = ExitStack()

    @property
    def options(self) -> dict[str, Any]:
        return {
            "redis_mode": "sentinel",
            "redis_sentinels": tuple(one.address for one in self.sentinels),
            "redis_sentinel_master": NAME,
            "redis_sentinel_password": self._sentinel_password,
            "redis_tls": self._tls,
        }

    def __enter__(self) -> WatchedRedis:
        with ExitStack() as stack:
            first, second = (stack.enter_context(server) for server in self.servers)
            with second.client() as client:
                client.replicaof("127.0.0.1", first.port)
            lines = [
                f"sentinel monitor {NAME} 127.0.0.1 {first.port} 2",
                f"sentinel down-after-milliseconds {NAME} {int(self._down_after * 1000)}",
                f"sentinel failover-timeout {NAME} 5000",
                *_as_lines(self._options),
                *(["tls-replication yes"] if self._tls else []),
            ]
            self.sentinels = [
                stack.enter_context(
                    Sentinel(*lines, password=self._sentinel_password, tls=self._tls)
                )
                for _ in range(3)
            ]
            wait_until(self._is_ready)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _is_ready(self) -> bool:
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                facts = client.sentinel_master(NAME)
            if facts["num-slaves"] != 1 or facts["num-other-sentinels"] != 2:
                return False
        with self.servers[1].client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    def master(self) -> RedisServer:
        """The one that most Sentinels name."""
        names = [self._named_by(one) for one in self.sentinels]
        port = max(set(names), key=names.count)
        return next(one for one in self.servers if one.port == port)

    def _named_by(self, sentinel: Sentinel) -> int:
        with sentinel.client() as client:
            return int(client.sentinel_get_master_addr_by_name(NAME)[1])

    def client(self) -> redis.Redis:
        return self.master().client()

    def empty(self) -> None:
        self.master().empty()

    def keys(self) -> set[str]:
        return self.master().keys()

    def wait_for_uptime(self, seconds: float) -> None:
        self.master().wait_for_uptime(seconds)


def wait_until(ready: Callable[[], bool]) -> None:
    """For what is started before there is a loop."""
    end = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < end, f"not ready within {PATIENCE} s"
        time.sleep(0.05)


def _as_lines(options: Sequence[str]) -> list[str]:
    """Options of the command line as lines of a file, which TLS needs everywhere."""
    pairs = zip(options[::2], options[1::2], strict=True)
    return [f"{name.removeprefix('--')} {value}" for name, value in pairs if "tls" in name]
