"""What an HTTP connection may do, and for how long it may keep us waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsock.errors import DsockError
from dsock.http.upgrade import Upgrade
from dsock.proxies import Proxies


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a request may be. Times in seconds, sizes in bytes."""

    on_upgrade: Callable[[Upgrade], None] | None = None
    """Takes the WebSocket handshakes on `upgrade_paths`."""
    upgrade_paths: frozenset[str] = frozenset()
    proxies: Proxies | None = None
    """Those that are believed when they say for whom they ask."""
    header_timeout: float = 10.0
    max_header_size: int = 16 * 1024
    max_headers: int = 100
    body_timeout: float = 30.0
    """Without progress."""
    answer_timeout: float = 30.0
    """In which nothing of an answer is taken."""
    max_unread: int = 16 * 1024 * 1024
    """Of a body that was answered before it had all come."""
    on_refused: Callable[[DsockError], None] | None = None
    """Told of what is refused before there is a whole request, and of answers not taken."""
