"""A Redis user with the rights that `docs/operations.md` lists, and what it was refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.support.redis_server import RedisServer

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
PASSWORD = "redis-password"


def rights(prefix: str, db: int, other: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """The line of the documentation for these options, with `other` words for some."""
    lines = [line.split() for line in DOCS.read_text().splitlines() if line.startswith("ACL ")]
    [line] = [line for line in lines if f"~{prefix or 'claim:'}*" in line]
    line = [word for old in line for word in other.get(old, old).split()]
    if not db:
        return line
    # What the page says about databases.
    named = {"&workers": f"&workers:{db}", "&workers:channel": f"&workers:{db}:channel"}
    return [*(named.get(word, word) for word in line), "+select"]


def rights_at_sentinels() -> list[str]:
    """What the page says is enough there."""
    said = DOCS.read_text().partition("At the Sentinels, `")[2].partition("` is enough")[0]
    return said.split()


def refused(redis: Any) -> list[tuple[str, str]]:
    """What Redis has refused to anybody."""
    entries: list[dict[str, str]] = redis.execute_command("ACL", "LOG")
    return [(entry["reason"], entry["object"]) for entry in entries]


@contextmanager
def limited_user(server: RedisServer) -> Iterator[dict[str, str]]:
    """The settings of a node that is such a user; at the end, nothing was refused to it."""
    with server.client() as redis:
        redis.execute_command("ACL", "LOG", "RESET")
        line = rights("", 0)
        redis.execute_command(*(word.replace("PASSWORD", PASSWORD) for word in line))
        yield {"redis_username": "dsock", "redis_password": PASSWORD}
        assert refused(redis) == []
        redis.execute_command("ACL", "DELUSER", "dsock")
