"""Opening a WebSocket to a worker, and saying why that failed."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, reconnect
from websockets.typing import Subprotocol

from dsock.terminal.call import answer_of, reason_of, redirected
from dsock.terminal.failures import Refused, Unreached

GOODBYE_TIMEOUT = 1.0
"""Seconds that the worker has to answer our goodbye."""


class Credential(NamedTuple):
    """What a client shows to be let in: a claim, or else a JWT."""

    claim: str | None = None
    jwt: str | None = None


def dial(url: str, credential: Credential) -> ClientConnection:
    """A connection to a worker. Raises `Refused` or `Unreached`."""
    shown = place(url)
    opening = _StayHere(
        url,
        # Neither is in the URL: those end up in logs.
        subprotocols=_protocols(credential.claim) if credential.claim else None,
        additional_headers=(
            {"Authorization": f"Bearer {credential.jwt}"} if credential.jwt else None
        ),
        close_timeout=GOODBYE_TIMEOUT,
        # The worker has its own limit; what it lets through can be shown.
        max_size=None,
    )
    try:
        return opening.connect()
    except InvalidStatus as error:
        response = error.response
        if 300 <= response.status_code < 400:
            raise Unreached(redirected(shown, response.headers.get("Location", ""))) from None
        answer = answer_of(response.status_code, bytes(response.body or b""))
        if answer is None:
            why = f"what answers at {shown} is no dSock worker (status {response.status_code})"
            raise Unreached(why) from None
        elsewhere = "another address for clients: --connect-url or DSOCK_CONNECT_URL"
        raise Refused(answer, elsewhere if answer.status == 404 else "") from None
    except WebSocketException as error:
        # Its text may repeat a header.
        raise Unreached(f"no WebSocket with {shown}: {type(error).__name__}") from None
    except (OSError, EOFError, UnicodeError, ImportError) as error:
        raise Unreached(f"{shown} was not reached: {reason_of(error)}") from None


def place(url: str) -> str:
    """The address without its query, which may hold anything."""
    return urlsplit(url)._replace(query="").geturl()


def _protocols(claim: str) -> list[Subprotocol]:
    return [Subprotocol("dsock"), Subprotocol(f"dsock.claim.{claim}")]


class _StayHere(reconnect):
    """Follows no redirect: the claim is for the worker, not for whom it points to."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc
