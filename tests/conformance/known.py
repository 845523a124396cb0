"""The cases whose verdict is not OK, with why that is well."""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    verdict: str
    reason: str


_WHOLE_TEXT = Known(
    "NON-STRICT OK",
    "What is no UTF-8 is refused when its message is complete, not at the byte that breaks it: "
    "RFC 6455 (section 8.1) names no moment, and the size of a message is limited.",
)
_UNDEFINED = Known("INFORMATIONAL", "The specification leaves open what a server does here.")

KNOWN: dict[str, Known] = {
    "6.4.1": _WHOLE_TEXT,
    "6.4.2": _WHOLE_TEXT,
    "6.4.3": _WHOLE_TEXT,
    "6.4.4": _WHOLE_TEXT,
    "7.1.5": Known(
        "FAILED WRONG CODE",
        "A close frame in the middle of a fragmented message is answered with 1002 instead of "
        "its own code: websockets takes it for an error, as the rest of the message is lost. The "
        "connection is closed either way.",
    ),
    "7.1.6": _UNDEFINED,
    "7.13.1": _UNDEFINED,
    "7.13.2": _UNDEFINED,
}
