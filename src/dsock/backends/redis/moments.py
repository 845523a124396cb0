"""Times as Redis keeps them: RFC 3339, as the Go dSock writes and reads them."""

from __future__ import annotations

from datetime import UTC, datetime


def to_text(seconds: float) -> str:
    """Seconds from epoch as RFC 3339, in whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_seconds(text: str | None) -> int | None:
    """Whole seconds from epoch, or None when the text is no RFC 3339 time with a zone."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return int(moment.timestamp()) if moment.tzinfo else None
