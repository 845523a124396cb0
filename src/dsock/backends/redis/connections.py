"""How to connect to Redis: the one place that reads the options for it."""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from dsock.backends.redis.calls import Connect
from dsock.errors import StartError
from dsock.settings import Settings

DEFAULT_HOST, DEFAULT_PORT = "localhost", 6379
DEFAULT_SENTINEL_PORT = 26379

_FORGET = struct.pack("ii", 1, 0)
"""The value of SO_LINGER with which a socket that is closed brings nothing more (socket(7))."""


class Server(NamedTuple):
    """Where one server is."""

    host: str
    port: int


Dial = Callable[[Server], AbstractConnection]
"""Makes a connection to a server, which is still to be connected."""


def connection_factory(
    settings: Settings, decode: bool = False
) -> functools.partial[AbstractConnection]:
    """Makes connections that do not retry and do not time out by themselves: `Pipe` and
    `Mailbox` know better when to. Raises `StartError` for an address that is none."""
    common: dict[str, Any] = {
        "socket_timeout": None,
        "socket_connect_timeout": settings.redis_timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
        "decode_responses": decode,
        "encoding_errors": "replace",
    }
    if settings.redis_url:
        return _of_url(_urls(settings)[0], common)
    host, port = servers(settings)[0]
    given = {
        **common,
        "host": host,
        "port": port,
        "db": settings.redis_db,
        "username": settings.redis_username or None,
        "password": settings.redis_password or None,
    }
    kind: type[AbstractConnection] = SSLConnection if settings.redis_tls else Connection
    return functools.partial(kind, **given)


def _of_url(url: str, common: dict[str, Any]) -> functools.partial[AbstractConnection]:
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise StartError("redis_url must begin with redis://, rediss:// or unix://")
        database = parts.path.strip("/")
        if parts.scheme != "unix" and database and not (database.isascii() and database.isdigit()):
            raise StartError("redis_url must end with the number of a database, or with none")
        pool = ConnectionPool.from_url(url)
        made = functools.partial(pool.connection_class, **{**pool.connection_kwargs, **common})
        made()  # It connects to nothing yet.
    except (TypeError, ValueError):
        # Its text may repeat a password.
        raise StartError("redis_url has a host, a port or an option that is none") from None
    return made


async def connected(connection: AbstractConnection) -> AbstractConnection:
    """This connection, made. Raises what redis-py raises, or `OSError`."""
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    # Once it is closed, the system would go on for minutes to bring what a dead network has
    # not taken: records of who has gone since, and messages after later ones.
    own_socket = transport_of(connection).get_extra_info("socket")
    own_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FORGET)
    return connection


def transport_of(connection: AbstractConnection) -> asyncio.WriteTransport:
    """What carries a connection that was made."""
    writer = connection._writer
    assert writer is not None
    return writer.transport


def connector(settings: Settings, decode: bool = False) -> Connect:
    """Connects to the one server there is."""
    new_connection = connection_factory(settings, decode)
    return lambda: connected(new_connection())


def dialer(settings: Settings, decode: bool = False, **other: Any) -> Dial:
    """Connections to any server, with the user, password and TLS that are set, or with
    `other` ones."""
    made = connection_factory(settings, decode)
    if made.func is UnixDomainSocketConnection:
        raise StartError("a Redis Cluster has no unix:// URL: give host and port")
    return lambda server: made.func(**{**made.keywords, **server._asdict(), **other})


def sentinel_dialer(settings: Settings) -> Dial:
    """Connections to Sentinels."""
    user = settings.redis_sentinel_username or None
    password = settings.redis_sentinel_password or None
    return dialer(settings, decode=True, db=0, username=user, password=password)


def database_of(settings: Settings) -> int:
    """The number of the database in Redis. Raises `StartError`."""
    database = int(connection_factory(settings).keywords.get("db") or 0)
    if database and settings.redis_mode == "cluster":
        raise StartError("a Redis Cluster has no databases: leave the one in redis_url out")
    return database


def servers(settings: Settings) -> list[Server]:
    """The servers that the options name: one, or some nodes of a Cluster."""
    if settings.redis_url:
        parts = [urlsplit(url) for url in _urls(settings)]
        return [Server(one.hostname or DEFAULT_HOST, one.port or DEFAULT_PORT) for one in parts]
    hosts = settings.redis_host or DEFAULT_HOST
    return [_address("redis_host", text.strip(), DEFAULT_PORT) for text in hosts.split(",")]


def sentinels(settings: Settings) -> list[Server]:
    """The Sentinels that the options name."""
    texts = settings.redis_sentinels
    return [_address("redis_sentinels", text, DEFAULT_SENTINEL_PORT) for text in texts]


def _urls(settings: Settings) -> list[str]:
    """`redis_url`, once for each of the servers that it may name in place of one:
    `redis://user:password@one:6379,two:6379`."""
    url = settings.redis_url
    if settings.redis_mode != "cluster":
        return [url]
    url, question, options = url.partition("?")
    before, slashes, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    user, at, hosts = place.rpartition("@")
    end = f"{slash}{path}{question}{options}"
    return [f"{before}{slashes}{user}{at}{host}{end}" for host in hosts.split(",")]


def _address(option: str, text: str, default_port: int) -> Server:
    if "@" in text or "/" in text:
        # Not repeated: there may be a password in it.
        raise StartError(f"{option} must be host:port; a URL is for redis_url")
    host, colon, port = text.rpartition(":")
    if not colon or host.endswith(":") or port.endswith("]"):
        host, port = text, str(default_port)
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise StartError(f"{option} must be host:port, not {text!r}")
    return Server(host.strip("[]"), int(port))


def shown_address(settings: Settings) -> str:
    """Where Redis is, for a person; never with a password."""
    if settings.redis_mode == "sentinel":
        return f"{settings.redis_sentinel_master}, says Sentinel,"
    if settings.redis_url:
        return "redis_url"
    return ", ".join(f"{host}:{port}" for host, port in servers(settings))
