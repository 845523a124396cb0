"""Every option once: its name, default, kind and help.

The flags, the environment, the config files and `docs/settings.md` are all made from
`Settings`; `config/` looks the values up.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from dsock.values import (
    ADDRESS,
    CHANNELS,
    LEASE,
    LIST,
    NETWORKS,
    ORIGINS,
    PERIOD,
    PORT,
    PROCESSES,
    SIZE,
    SWITCH,
    TEXT,
    TOKENS,
    TTL,
    WAIT,
    WHOLE,
    Kind,
    choice,
)


def _option(
    help: str,
    kind: Kind = TEXT,
    default: Any = "",
    *,
    shown: str = "",
    secret: bool = False,
    only: str = "",
) -> Any:
    """`shown` is the default in the words of a user; `only` the half that has the option."""
    metadata = {"help": help, "kind": kind, "shown": shown, "secret": secret, "only": only}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective options of one node. Durations are in seconds, sizes in bytes.

    An `address` is in `host` and `port` already.
    """

    port: int = _option("Port to listen on.", PORT, 6241)
    host: str = _option("Address to listen on.", shown="all interfaces")
    address: str = _option(
        "Deprecated: port and host in one, such as :6241. Goes before both.", ADDRESS
    )
    internal_port: int | None = _option(
        "Port for /metrics, /ready and /_/, which then are not on the public one.", PORT, None
    )
    backend: str = _option(
        "What API and workers share: memory (one process) or redis.",
        choice("memory", "redis"),
        shown="memory for serve without Redis options or direct messaging, else redis",
    )
    processes: int | str = _option(
        "Processes that share the port, one for each core; auto: as many as it may use cores. "
        "More than one need Redis.",
        PROCESSES,
        1,
    )

    redis_mode: str = _option(
        "What Redis is: standalone, sentinel or cluster.",
        choice("standalone", "sentinel", "cluster"),
        "standalone",
    )
    redis_host: str = _option(
        "Redis host and port; of a Cluster some of its nodes, comma-separated.",
        shown="localhost:6379",
    )
    redis_url: str = _option(
        "redis://, rediss:// or unix:// URL, instead of the single options.", secret=True
    )
    redis_sentinels: tuple[str, ...] = _option(
        "Host and port of every Sentinel, comma-separated, if redis_mode is sentinel.", LIST, ()
    )
    redis_sentinel_master: str = _option("The name that the Sentinels have for the master.")
    redis_sentinel_username: str = _option(
        "User (ACL) of the Sentinels themselves.", shown="the default user"
    )
    redis_sentinel_password: str = _option("Password of the Sentinels themselves.", secret=True)
    redis_username: str = _option("Redis user (ACL).", shown="the default user")
    redis_password: str = _option("Redis password.", secret=True)
    redis_db: int = _option("Redis database.", WHOLE, 0)
    redis_tls: bool = _option("Connect to Redis with TLS.", SWITCH, False)
    redis_max_retries: int = _option(
        "How often to try again what may be repeated, within redis_timeout.", WHOLE, 10
    )
    redis_timeout: float = _option(
        "How long one call to Redis may take, its retries included (at most a quarter longer).",
        PERIOD,
        2.0,
    )
    redis_key_prefix: str = _option("Put before every key and channel in Redis.")

    token: tuple[str, ...] = _option(
        "Token for the API; two, comma-separated, while one is being replaced.",
        TOKENS,
        (),
        secret=True,
        shown="none: serve makes one and shows it, api refuses to start",
    )
    insecure_no_token: bool = _option("Let anyone use the API.", SWITCH, False)
    jwt_secret: tuple[str, ...] = _option(
        "HMAC secret of JWTs; two, comma-separated, while one is being replaced.",
        LIST,
        (),
        secret=True,
        shown="none: no JWT is accepted",
    )
    default_channels: tuple[str, ...] = _option(
        "Channels that every client joins, comma-separated.", CHANNELS, ()
    )
    allowed_origins: tuple[str, ...] = _option(
        "Origins whose pages may connect, comma-separated, such as https://*.example.com.",
        ORIGINS,
        ("*",),
        only="worker",
    )

    trusted_proxies: tuple[str, ...] = _option(
        "Proxies whose X-Forwarded-For is believed: comma-separated addresses and networks, such "
        "as 10.0.0.0/8.",
        NETWORKS,
        (),
    )

    messaging_method: str = _option(
        "How the API reaches workers: through redis, or direct over HTTP.",
        choice("redis", "direct"),
        "redis",
    )
    direct_message_hostname: str = _option(
        "Where the API reaches this worker, if messaging_method is direct.",
        shown="host, else the first local IPv4 address that is not loopback",
        only="worker",
    )
    direct_message_port: int | None = _option(
        "On which port the API reaches this worker, if messaging_method is direct; with several "
        "processes that of the first, the others have those after it.",
        PORT,
        None,
        shown="internal_port, else port; with several processes a free one for each",
        only="worker",
    )
    ttl_duration: float = _option(
        "How often to refresh the records of workers and connections in Redis.",
        TTL,
        60.0,
        shown="60s",
        only="worker",
    )
    worker_lease: float = _option(
        "How long a worker counts as alive without a sign of life; the same on all nodes.",
        LEASE,
        10.0,
    )
    report_timeout: float = _option(
        "How long a call waits for the workers' answers.", PERIOD, 2.0, only="api"
    )

    max_message_size: int = _option(
        "Largest body of /send; with messaging_method=direct workers must allow as much.",
        SIZE,
        2**20,
    )
    max_client_message_size: int = _option(
        "Largest message from a client, on the wire and decompressed.",
        SIZE,
        2**16,
        only="worker",
    )
    max_connections: int = _option(
        "Connections that a process may hold, those being let in included; 0: no limit.",
        WHOLE,
        0,
        only="worker",
    )
    max_connections_per_user: int = _option(
        "How many of them one user may have; 0: no limit.", WHOLE, 0, only="worker"
    )
    max_connects_per_second: int = _option(
        "Clients that a process lets in within a second, and at once; 0: no limit.",
        WHOLE,
        0,
        only="worker",
    )
    max_connect_failures: int = _option(
        "Wrong claims and JWTs in a minute after which no claim is read for an address; "
        "0: no limit. Set trusted_proxies first, if there are proxies.",
        WHOLE,
        0,
        only="worker",
    )
    max_token_failures: int = _option(
        "Wrong tokens in a minute after which an address is not listened to, unless the right one "
        "came from there within an hour; 0: no limit.",
        WHOLE,
        60,
    )
    send_buffer_limit: int = _option(
        "A client with more than this waiting is too slow.", SIZE, 2**20, only="worker"
    )
    send_timeout: float = _option(
        "A client that takes nothing of what is waiting for this long is too slow.",
        PERIOD,
        10.0,
        only="worker",
    )
    compression: bool = _option(
        "Compress messages to clients that can (permessage-deflate). Not what they send.",
        SWITCH,
        True,
        only="worker",
    )
    compression_min_size: int = _option(
        "Smaller messages are not compressed.", SIZE, 2**10, only="worker"
    )
    ping_interval: float = _option(
        "How often a client is pinged.", PERIOD, 60.0, shown="60s", only="worker"
    )
    ping_timeout: float = _option(
        "How long a client may take to answer a ping.", PERIOD, 20.0, only="worker"
    )
    drain_delay: float = _option(
        "How long to go on as before after SIGTERM, while /ready already says 503.", WAIT, 0.0
    )
    drain_duration: float = _option(
        "Over how long clients are closed after that.", WAIT, 10.0, only="worker"
    )

    debug: bool = _option("Log what helps while developing.", SWITCH, False)
    log_requests: bool = _option(
        "Log every request and handshake (never its query).", SWITCH, False
    )

    @property
    def names_redis(self) -> bool:
        """Whether anything says which Redis to use."""
        default = Settings()
        return any(
            getattr(self, one.name) != getattr(default, one.name)
            for one in fields(self)
            if one.name.startswith("redis_")
        )

    def warnings(self) -> list[str]:
        """What is allowed but probably not meant, one sentence each."""
        said = []
        if self.ttl_duration < 10:
            said.append("ttl_duration is below 10s: records are refreshed very often")
        if any(len(secret.encode()) < 32 for secret in self.jwt_secret):
            said.append("jwt_secret is shorter than 32 bytes: it can be guessed offline")
        if self.insecure_no_token:
            said.append("insecure_no_token is set: anyone who reaches the API may use it")
        return said


def option_fields() -> tuple[Field[Any], ...]:
    """Every option, in the order in which it is documented."""
    return fields(Settings)


def conflict(settings: Settings) -> tuple[str, str] | None:
    """Two options that are set and exclude each other."""
    singles = ("redis_host", "redis_username", "redis_password", "redis_db", "redis_tls")
    pairs = (
        ("insecure_no_token", "token"),
        *(("redis_url", single) for single in singles),
        *((address, "redis_sentinels") for address in ("redis_url", "redis_host")),
    )
    for one, other in pairs:
        if getattr(settings, one) and getattr(settings, other):
            return one, other
    return None


def mistake_about_redis(settings: Settings) -> str | None:
    """What does not go together in the options for Redis, and what to do about it."""
    mode, sentinels = settings.redis_mode, settings.redis_sentinels
    if sentinels and mode != "sentinel":
        return "redis_sentinels are given: set redis_mode=sentinel too, or leave them out"
    if mode == "sentinel":
        if not sentinels:
            where = "" if not (settings.redis_url or settings.redis_host) else ", and nothing else"
            return f"redis_mode=sentinel needs redis_sentinels{where}: host:port,host:port,..."
        if not settings.redis_sentinel_master:
            return "redis_mode=sentinel needs redis_sentinel_master, as in `sentinel monitor NAME`"
    if mode == "cluster" and settings.redis_db:
        return "a Redis Cluster has no databases: leave out redis_db, or use redis_key_prefix"
    if mode != "cluster" and "," in settings.redis_host:
        return "redis_host names several servers: set redis_mode=cluster, or name one"
    return None


def variable(option: Field[Any]) -> str:
    """An option's name in the environment."""
    return f"DSOCK_{option.name.upper()}"


def flag(option: Field[Any]) -> str:
    """An option's name on the command line."""
    return f"--{option.name.replace('_', '-')}"


def default_text(option: Field[Any]) -> str:
    """An option's default in the words of a user, or the empty string for none."""
    shown: str = option.metadata["shown"]
    if shown or option.default in (MISSING, None, (), ""):
        return shown
    kind: Kind = option.metadata["kind"]
    return kind.write(option.default)
