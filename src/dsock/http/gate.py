"""The token in front of calls, and what becomes of those who guess."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from time import monotonic

from starlette.requests import Request

from dsock.errors import InvalidAuthorization, TooManyFailures
from dsock.events import FailuresLimited, Notify
from dsock.http.request import Parameters, address_of, header
from dsock.limits import Failures
from dsock.settings import Settings


def gate_of(settings: Settings, notify: Notify) -> Gate | None:
    """The gate that these settings want; none where anyone may call."""
    if settings.insecure_no_token:
        return None
    failures = Failures(
        settings.max_token_failures, lambda address: notify(FailuresLimited(address, "tokens"))
    )
    return Gate(settings.token, failures)


class Gate:
    """Lets requests pass that show one of these tokens.

    An address from which too many wrong ones came is not listened to until the minute is over:
    otherwise the right one could be found by trying. It still is if the right one came from
    there lately: whoever guesses beside a back end must not stop it.
    """

    def __init__(self, tokens: Sequence[str], failures: Failures) -> None:
        self._tokens = [token.encode() for token in tokens]
        self._failures = failures

    def require_token(self, request: Request) -> None:
        """Let the request pass if it shows a token, in the query or as a Bearer (RFC 6750,
        section 2.1). Raises `InvalidAuthorization` or `TooManyFailures`."""
        shown = []
        if token := Parameters.of(request)("token"):
            shown.append(token.encode("utf-8", "surrogateescape"))
        scheme, _, value = header(request.scope, b"authorization").partition(b" ")
        if scheme.lower() == b"bearer" and (bearer := value.strip(b" \t")):
            shown.append(bearer)
        if not shown:
            raise InvalidAuthorization  # That is no guess.
        address, now, failures = address_of(request), monotonic(), self._failures
        over = failures.over(address, now)
        if over and not failures.proven(address, now):
            raise TooManyFailures
        # Every pair is compared, so that the time does not tell which one was near.
        matches = [hmac.compare_digest(one, token) for one in shown for token in self._tokens]
        if any(matches):
            failures.prove(address, now)
            return
        if over:
            raise TooManyFailures
        for _ in shown:
            failures.add(address, now)
        raise InvalidAuthorization
