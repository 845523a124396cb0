"""How to connect to Redis: the one place that reads the options for it."""

from __future__ import annotations

import functools
from typing import Any

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from dsock.backends.redis.calls import Connect
from dsock.errors import StartError
from dsock.settings import Settings

DEFAULT_HOST, DEFAULT_PORT = "localhost", 6379


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
        try:
            pool = ConnectionPool.from_url(settings.redis_url)
        except ValueError:
            raise StartError("redis_url must begin with redis://, rediss:// or unix://") from None
        return functools.partial(pool.connection_class, **{**pool.connection_kwargs, **common})
    host, port = _address(settings.redis_host or DEFAULT_HOST)
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


async def connected(connection: AbstractConnection) -> AbstractConnection:
    """This connection, made. Raises what redis-py raises, or `OSError`."""
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


def connector(settings: Settings, decode: bool = False) -> Connect:
    """Connects to the one server there is."""
    new_connection = connection_factory(settings, decode)
    return lambda: connected(new_connection())


def database_of(settings: Settings) -> int:
    """The number of the database in Redis. Raises `StartError`."""
    return int(connection_factory(settings).keywords.get("db") or 0)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or host.endswith(":") or port.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise StartError(f"redis_host must be host:port, not {text!r}")
    return host.strip("[]"), int(port)


def shown_address(settings: Settings) -> str:
    """Where Redis is, for a person; never with a password."""
    if settings.redis_url:
        return "redis_url"
    host, port = _address(settings.redis_host or DEFAULT_HOST)
    return f"{host}:{port}"
