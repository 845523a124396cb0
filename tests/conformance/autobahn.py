"""Drives the Autobahn TestSuite's own case files, as kosoku does under Python 3."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kosoku import FailureError, run_fuzzingclient
from kosoku.cases import CASES

OK = "OK"

GROUPS = ("1", "2", "3", "4", "5", "6", "7", "9", "10", "12", "13")
"""Framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, limits, splitting; 12
and 13 are permessage-deflate (RFC 7692)."""

EVERY_CASE: list[str] = [id for id in CASES if id.partition(".")[0] in GROUPS]

_SIZES = {"12": ("1", "3", "5", "11"), "13": ("2", "11")}
"""Of the sizes of messages and fragments with which every case of compression is repeated,
those that are quick."""


def _is_quick(id: str) -> bool:
    group, _, rest = id.partition(".")
    return group not in _SIZES or rest.partition(".")[2] in _SIZES[group]


QUICK_CASES: list[str] = [id for id in EVERY_CASE if _is_quick(id)]
"""All that take little time."""

PATIENCE = 20.0
"""Seconds after which a connection is given up that should have ended."""


async def verdicts(url: str, cases: Iterable[str]) -> dict[str, str]:
    """The verdict of each of these cases, by its id, on what was exchanged and on how it was
    closed: one word when both are the same."""
    _mend()
    try:
        results = await run_fuzzingclient(url, list(cases), concurrency=4)
    except FailureError as failed:
        results = failed.results
    return {
        one.case_id: " ".join(dict.fromkeys((one.behavior.value, one.behavior_close.value)))
        for one in results
    }


class _Patient:
    """A case's connection that is given up only after `PATIENCE`. Most would give it up after
    a second, and so judge a machine that was busy; what is right ends earlier by itself."""

    def __init__(self, connection: Any) -> None:
        object.__setattr__(self, "_connection", connection)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._connection, name, value)

    def killAfter(self, seconds: float) -> None:  # noqa: N802 - as Autobahn calls it
        self._connection.killAfter(max(seconds, PATIENCE))


def _mend() -> None:
    case: Any
    base: Any = next(iter(CASES.values())).__mro__[-2]
    if not hasattr(base, "is_patient"):
        begin = base.__init__
        base.__init__ = lambda self, connection: begin(self, _Patient(connection))
        base.is_patient = True
    # A message that came uncompressed is given to a case as text of one character a byte, as
    # Python 2 would; the cases of compression want bytes, as they are given when it came
    # compressed. A server may choose for every message (RFC 7692, section 6).
    for id, case in CASES.items():
        if id.partition(".")[0] in _SIZES and not hasattr(case, "takes_text"):
            case.onMessage = _as_bytes(case.onMessage)
            case.takes_text = True


def _as_bytes(judge: Any) -> Any:
    def on_message(case: Any, message: str | bytes, binary: bool) -> None:
        judge(case, message.encode("latin-1") if isinstance(message, str) else message, binary)

    return on_message
