"""A real Redis Cluster: three masters, each with a replica."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.support.redis_server import RedisServer, free_port
from tests.support.sentinels import wait_until

MASTERS = 3


class ClusteredRedis:
    """`Servers` that share the slots. A master that is silent for `timeout` seconds is
    replaced; `options` are for every server."""

    def __init__(
        self, *options: str, timeout: float = 1.5, password: str = "", tls: bool = False
    ) -> None:
        more = ["--tls-replication", "yes", "--tls-cluster", "yes"] if tls else []
        more += ["--masterauth", password] if password else []
        self.servers = [
            RedisServer(
                *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
                *("--cluster-node-timeout", str(int(timeout * 1000))),
                *("--repl-diskless-sync-delay", "0", *options, *more),
                password=password,
                tls=tls,
            )
            for _ in range(2 * MASTERS)
        ]
        self._password, self._tls = password, tls
        self._stack = ExitStack()

    @property
    def options(self) -> dict[str, Any]:
        seeds = ",".join(server.address for server in self.servers[:2])
        address = {"redis_host": seeds, "redis_tls": self._tls}
        if self._password:
            address = {"redis_url": f"redis://:{self._password}@{seeds}"}
        return {"redis_mode": "cluster", **address}

    def __enter__(self) -> ClusteredRedis:
        with ExitStack() as stack:
            for server in self.servers:
                stack.callback(server.__exit__)
                server.begin()
            for server in self.servers:
                server.wait()
            self._form()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _form(self) -> None:
        masters, replicas = self.servers[:MASTERS], self.servers[MASTERS:]
        share = -(-REDIS_CLUSTER_HASH_SLOTS // MASTERS)
        for number, server in enumerate(masters):
            first = number * share
            last = min(first + share, REDIS_CLUSTER_HASH_SLOTS) - 1
            ask(server, "CLUSTER", "ADDSLOTSRANGE", first, last)
            ask(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server in self.servers[1:]:
            ask(self.servers[0], "CLUSTER", "MEET", "127.0.0.1", server.port, bus_port(server))
        wait_until(lambda: all(self._knows_all(server) for server in self.servers))
        for master, replica in zip(masters, replicas, strict=True):
            ask(replica, "CLUSTER", "REPLICATE", self.id_of(master))
        wait_until(self.is_whole)

    def _knows_all(self, server: RedisServer) -> bool:
        text: str = ask(server, "CLUSTER", "NODES")
        lines = text.splitlines()
        return len(lines) == len(self.servers) and "handshake" not in text

    def is_whole(self) -> bool:
        """Whether every server sees all slots served, and every master has its replica."""
        for server in self.servers:
            if "cluster_state:ok" not in ask(server, "CLUSTER", "INFO"):
                return False
            role = ask(server, "ROLE")
            if role[0] == "slave" and role[3] != "connected":
                return False
            if role[0] == "master" and len(self._replicas_seen_by(server)) != MASTERS:
                return False
        return True

    def _replicas_seen_by(self, server: RedisServer) -> list[str]:
        return [line for line in ask(server, "CLUSTER", "NODES").splitlines() if "slave" in line]

    def id_of(self, server: RedisServer) -> str:
        id: str = ask(server, "CLUSTER", "MYID")
        return id

    def masters(self) -> list[RedisServer]:
        """Who is one, as each says itself; without those that do not answer."""
        return [server for server in self._alive() if ask(server, "ROLE")[0] == "master"]

    def _alive(self) -> list[RedisServer]:
        return [server for server in self.servers if server.answers]

    def owner(self, key: str) -> RedisServer:
        """The master of a key or sharded channel, as most servers see it."""
        slot = key_slot(key.encode())
        ports = [port for server in self._alive() for port in _owners_seen_by(server, slot)]
        port = max(set(ports), key=ports.count)
        return next(server for server in self.servers if server.port == port)

    def slots(self, server: RedisServer) -> list[int]:
        """The slots of a master, as it says itself."""
        with server.client() as client:
            client.response_callbacks.clear()
            rows = client.execute_command("CLUSTER", "SLOTS")
        own = [row for row in rows if int(row[2][1]) == server.port]
        return [slot for row in own for slot in range(int(row[0]), int(row[1]) + 1)]

    def client(self) -> Any:
        options: dict[str, Any] = {"ssl": True, "ssl_cert_reqs": "none"} if self._tls else {}
        port = self._alive()[0].port
        return redis.RedisCluster("127.0.0.1", port, decode_responses=True, **options)

    def empty(self) -> None:
        for server in self.masters():
            server.empty()

    def keys(self) -> set[str]:
        return set().union(*(server.keys() for server in self.masters()))

    def wait_for_uptime(self, seconds: float) -> None:
        # They are clustered: the list that is waited for must be on the one that is asked.
        youngest = self.servers[-1]
        wait_until(lambda: _uptime(youngest) >= seconds)

    def move_slots(self, slots: Sequence[int], source: RedisServer, target: RedisServer) -> None:
        """Give slots and their keys to another master side by side, as `redis-cli --cluster`
        gives one."""
        source_id, target_id = self.id_of(source), self.id_of(target)
        with source.client() as giver, target.client() as taker:
            _set_slots(taker, slots, "IMPORTING", source_id)
            _set_slots(giver, slots, "MIGRATING", target_id)
            for slot in slots:
                while keys := giver.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                    giver.execute_command(
                        *("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
                    )
            for client in (taker, giver):
                _set_slots(client, slots, "NODE", target_id)


def _set_slots(client: Any, slots: Sequence[int], *state: str) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for slot in slots:
            pipeline.execute_command("CLUSTER", "SETSLOT", slot, *state)
        pipeline.execute()


def ask(server: RedisServer, *command: str | int) -> Any:
    with server.client() as client:
        return client.execute_command(*command)


def bus_port(server: RedisServer) -> int:
    return int(ask(server, "CONFIG", "GET", "cluster-port")["cluster-port"])


def _owners_seen_by(server: RedisServer, slot: int) -> list[int]:
    with server.client() as client:
        client.response_callbacks.clear()
        rows = client.execute_command("CLUSTER", "SLOTS")
    return [int(row[2][1]) for row in rows if int(row[0]) <= slot <= int(row[1])]


def _uptime(server: RedisServer) -> int:
    with server.client() as client:
        return int(client.info("server")["uptime_in_seconds"])
