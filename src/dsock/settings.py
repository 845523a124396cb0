"""Every option once: its name, default, kind and help.

The environment, the flags and `docs/settings.md` are all made from `Settings`. A value is
looked up as flag, then `DSOCK_NAME`, then `DSOCK_NAME_FILE` for a secret, then default.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from dsock import names
from dsock.duration import parse_duration
from dsock.errors import DsockError, StartError

Read = Callable[[str], Any]

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(\*\.)?[^/*\s]+")

# What Kubernetes gives every pod beside a service that is called "dsock".
_OF_A_SERVICE = re.compile(r"DSOCK_(SERVICE_(HOST|PORT(_.*)?)|PORT_\d+_(TCP|UDP|SCTP).*)")


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError(f"not true or false: {text!r}") from None


def _whole(text: str) -> int:
    # int() would also take "1_000" and the digits of other scripts.
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"not a whole number: {text!r}")
    return int(text)


def _port(text: str) -> int:
    port = _whole(text)
    if port > 65535:
        raise ValueError(f"not a port: {text!r}")
    return port


def _size(text: str) -> int:
    units = {"kib": 2**10, "mib": 2**20, "gib": 2**30}
    lower = text.strip().lower()
    unit = lower[-3:] if lower[-3:] in units else ""
    size = _whole(lower.removesuffix(unit).strip()) * units.get(unit, 1)
    if size < 1:
        raise ValueError(f"must be at least 1: {text!r}")
    return size


def _period(text: str) -> float:
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError(f"must be longer than 0: {text!r}")
    return seconds


def _wait(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < 0:
        raise ValueError(f"must not be negative: {text!r}")
    return seconds


def _ttl(text: str) -> float:
    seconds = _period(text)
    if seconds < 1:
        raise ValueError(f"must be at least 1s: {text!r}")
    return seconds


def _lease(text: str) -> float:
    seconds = _period(text)
    if seconds < 2:
        raise ValueError(f"must be at least 2s, twice what a beat takes: {text!r}")
    return seconds


def _channels(text: str) -> tuple[str, ...]:
    try:
        return names.channel_list(",".join(name.strip() for name in text.split(",")))
    except DsockError as error:
        raise ValueError(error.message) from None


def _list(text: str) -> tuple[str, ...]:
    items = tuple(item.strip() for item in text.split(",") if item.strip())
    if not items:
        raise ValueError("nothing but commas")
    return items


def _origins(text: str) -> tuple[str, ...]:
    origins = _list(text)
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"not an origin such as https://example.com: {origin!r}")
    return origins


def _choice(*choices: str) -> Read:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}: {text!r}")
        return text

    return read


def _option(
    help: str,
    read: Read = str,
    default: Any = "",
    *,
    shown: str = "",
    secret: bool = False,
    only: str = "",
) -> Any:
    """`shown` is the default in the words of a user; `only` the half that has the option."""
    metadata = {"help": help, "read": read, "shown": shown, "secret": secret, "only": only}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective options of one node. Durations are in seconds, sizes in bytes."""

    port: int = _option("Port to listen on.", _port, 6241, shown="6241")
    host: str = _option("Address to listen on.", shown="all interfaces")
    internal_port: int | None = _option(
        "Port for /metrics and /ready, which then are not on the public one.", _port, None
    )
    backend: str = _option(
        "What API and workers share: memory (one process) or redis.",
        _choice("memory", "redis"),
        shown="memory for serve without Redis options, else redis",
    )

    redis_host: str = _option("Redis host and port.", shown="localhost:6379")
    redis_url: str = _option(
        "redis://, rediss:// or unix:// URL, instead of the single options.", secret=True
    )
    redis_username: str = _option("Redis user (ACL).", shown="the default user")
    redis_password: str = _option("Redis password.", secret=True)
    redis_db: int = _option("Redis database.", _whole, 0, shown="0")
    redis_tls: bool = _option("Connect to Redis with TLS.", _boolean, False, shown="false")
    redis_max_retries: int = _option(
        "How often to try again what may be repeated, within redis_timeout.",
        _whole,
        10,
        shown="10",
    )
    redis_timeout: float = _option(
        "How long one call to Redis may take, its retries included.", _period, 2.0, shown="2s"
    )
    redis_key_prefix: str = _option("Put before every key and channel in Redis.")

    token: tuple[str, ...] = _option(
        "Token for the API; two, comma-separated, while one is being replaced.",
        _list,
        (),
        secret=True,
        shown="none: serve makes one and shows it, api refuses to start",
    )
    insecure_no_token: bool = _option("Let anyone use the API.", _boolean, False, shown="false")
    jwt_secret: tuple[str, ...] = _option(
        "HMAC secret of JWTs; two, comma-separated, while one is being replaced.",
        _list,
        (),
        secret=True,
        shown="none: no JWT is accepted",
    )
    default_channels: tuple[str, ...] = _option(
        "Channels that every client joins, comma-separated.", _channels, ()
    )
    allowed_origins: tuple[str, ...] = _option(
        "Origins whose pages may connect, comma-separated, such as https://*.example.com.",
        _origins,
        ("*",),
        shown="*",
        only="worker",
    )

    messaging_method: str = _option(
        "How the API reaches workers.", _choice("redis", "direct"), "redis"
    )
    direct_message_hostname: str = _option(
        "Name or address at which APIs reach this worker, with messaging_method=direct.",
        shown="host, else the first local IPv4 address that is not loopback",
        only="worker",
    )
    direct_message_port: int | None = _option(
        "Port at which APIs reach this worker, with messaging_method=direct.",
        _port,
        None,
        shown="internal_port, else port",
        only="worker",
    )
    ttl_duration: float = _option(
        "How often to refresh the records of workers and connections in Redis.",
        _ttl,
        60.0,
        shown="60s",
        only="worker",
    )
    worker_lease: float = _option(
        "How long a worker counts as alive without a sign of life; the same on all nodes.",
        _lease,
        10.0,
        shown="10s",
    )
    report_timeout: float = _option(
        "How long a call waits for the workers' answers.", _period, 2.0, shown="2s", only="api"
    )

    max_message_size: int = _option(
        "Largest body of /send.", _size, 2**20, shown="1MiB", only="api"
    )
    max_client_message_size: int = _option(
        "Largest message from a client, on the wire and decompressed.",
        _size,
        2**16,
        shown="64KiB",
        only="worker",
    )
    send_buffer_limit: int = _option(
        "A client with more than this waiting is too slow.",
        _size,
        2**20,
        shown="1MiB",
        only="worker",
    )
    send_timeout: float = _option(
        "A client that takes nothing of what is waiting for this long is too slow.",
        _period,
        10.0,
        shown="10s",
        only="worker",
    )
    ping_interval: float = _option(
        "How often a client is pinged.", _period, 60.0, shown="60s", only="worker"
    )
    ping_timeout: float = _option(
        "How long a client may take to answer a ping.", _period, 20.0, shown="20s", only="worker"
    )
    drain_delay: float = _option(
        "How long to go on as before after SIGTERM, while /ready already says 503.",
        _wait,
        0.0,
        shown="0s",
    )
    drain_duration: float = _option(
        "Over how long clients are closed after that.", _wait, 10.0, shown="10s", only="worker"
    )

    debug: bool = _option("Log what helps while developing.", _boolean, False, shown="false")
    log_requests: bool = _option(
        "Log every request and handshake (never its query).", _boolean, False, shown="false"
    )

    @property
    def names_redis(self) -> bool:
        """Whether anything says which Redis to use."""
        default = Settings()
        return any(
            getattr(self, name) != getattr(default, name)
            for name in (
                "redis_host",
                "redis_url",
                "redis_username",
                "redis_password",
                "redis_db",
                "redis_tls",
            )
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


def load(environment: Mapping[str, str], flags: Mapping[str, str | None]) -> Settings:
    """The effective settings. An empty value counts as absent.

    Raises `StartError` with one line that names the option and its source.
    """
    _refuse_unknown(environment)
    values = {}
    for option in option_fields():
        text, source = _look_up(option, environment, flags)
        if text is None:
            continue
        try:
            values[option.name] = option.metadata["read"](text)
        except ValueError as error:
            why = "cannot be read" if option.metadata["secret"] else str(error)
            raise StartError(f"{source}: {why}") from None
    settings = Settings(**values)
    if settings.insecure_no_token and settings.token:
        raise StartError("insecure_no_token and token exclude each other")
    if settings.redis_url and settings.redis_host:
        raise StartError("redis_url and redis_host exclude each other")
    return settings


def _look_up(
    option: Field[Any], environment: Mapping[str, str], flags: Mapping[str, str | None]
) -> tuple[str | None, str]:
    variable = f"DSOCK_{option.name.upper()}"
    if flag := flags.get(option.name):
        return flag, f"--{option.name.replace('_', '-')}"
    if option.metadata["secret"] and (path := environment.get(f"{variable}_FILE")):
        if environment.get(variable):
            raise StartError(f"{variable} and {variable}_FILE exclude each other")
        try:
            content = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StartError(f"{variable}_FILE: {error}") from None
        if not content:
            raise StartError(f"{variable}_FILE: {path} is empty")
        return content, f"{variable}_FILE"
    text = environment.get(variable)
    if text and not (option.name == "port" and text.startswith("tcp://")):
        return text, variable
    if option.name == "port" and (text := environment.get("PORT")):
        return text, "PORT"
    return None, ""


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {f"DSOCK_{option.name.upper()}" for option in option_fields()}
    known |= {
        f"DSOCK_{option.name.upper()}_FILE"
        for option in option_fields()
        if option.metadata["secret"]
    }
    for variable in environment:
        if _OF_A_SERVICE.fullmatch(variable):
            continue
        if variable.startswith("DSOCK_") and variable not in known:
            near = difflib.get_close_matches(variable, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise StartError(f"{variable} is no option{hint}")


def default_text(option: Field[Any]) -> str:
    """An option's default in the words of a user, or the empty string for none."""
    shown: str = option.metadata["shown"]
    if shown or option.default in (MISSING, None, ()):
        return shown
    return str(option.default)
