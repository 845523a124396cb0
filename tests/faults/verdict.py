"""Says what was found in a run, and what of the history matters for it."""

from __future__ import annotations

from typing import NamedTuple

from tests.faults.history import Breach
from tests.faults.ledger import Disconnected, Ledger, Moved, Sent, Shown, Window

SHOWN = 12
"""Breaches that are told in full, and calls around one."""

AROUND, SLOW = 3.0, 0.5
"""Seconds."""


class Seen(NamedTuple):
    """What was seen of a run, what of it must not be, and what the nodes said."""

    ledger: Ledger
    found: list[Breach]
    logs: dict[str, list[str]]


def told(seen: Seen) -> str:
    """The verdict and, if it is not good, what happened around each breach."""
    ledger, found, _ = seen
    heard = sum(one.answer.heard for one in ledger.sent)
    got = sum(len(client.received) for client in ledger.clients)
    counts = {
        "sends": len(ledger.sent),
        "heard by all": heard,
        "clients": len(ledger.clients),
        "receipts": got,
        "logouts": len(ledger.disconnected),
        "moves": len(ledger.moved),
        "looks": len(ledger.shown),
        "breaches": len(found),
    }
    lines = [", ".join(f"{count} {what}" for what, count in counts.items())]
    for breach in found[:SHOWN]:
        lines += ["", f"{breach.kind} at {breach.moment:.3f}: {breach.text}"]
        lines += [f"  while {window}" for window in ledger.windows if _is_near(window, breach)]
        if breach.kind == "failure":
            lines += _beside(ledger, breach)
        if breach.client:
            lines += _of(ledger, breach)
    return "\n".join(lines)


def _is_near(window: Window, breach: Breach) -> bool:
    return window.began - 1 <= breach.moment <= window.ended + 1


def _beside(ledger: Ledger, breach: Breach) -> list[str]:
    """The fault before a call that failed, and how others fared meanwhile."""
    before = [window for window in ledger.windows if window.ended <= breach.moment]
    lines = [f"  after {window}" for window in before[-3:]]
    calls: list[Sent | Disconnected | Moved | Shown] = [*ledger.sent, *ledger.disconnected]
    calls += [*ledger.moved, *ledger.shown]
    near = [one for one in calls if abs(one.answer.ended - breach.moment) < AROUND]
    near.sort(key=lambda one: one.answer.ended)
    odd = [one for one in near if not one.answer.heard or one.answer.took > SLOW]
    lines.append(f"  {len(near)} calls were answered around then, {len(odd)} badly or slowly")
    return lines + [f"  {one}" for one in odd[:SHOWN]]


def _of(ledger: Ledger, breach: Breach) -> list[str]:
    """What was done to the client of a breach, and what it got around then."""
    client = breach.client
    assert client
    calls: list[Moved | Disconnected] = [*ledger.moved, *ledger.disconnected]
    about = [str(one) for one in calls if client.session in str(one.target)]
    near = [f"{at:.3f} {message}" for at, message in client.received if abs(at - breach.moment) < 1]
    return [f"  {client}", *(f"  {line}" for line in about), f"  got {' '.join(near)}"]
