"""Calls to the API over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPMessage,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
)
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    Request,
    build_opener,
)

from dsock.errors import InvalidClaimId
from dsock.terminal.access import Access
from dsock.terminal.failures import Answer, Refused, Unreached

TIMEOUT = 30.0
"""Seconds without a sign from the API after which it counts as not reached."""


class Api:
    """A running API."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._opener = build_opener(_StayHere, _Http, _Https)

    def call(
        self, method: str, path: str, parameters: Mapping[str, str | None], body: bytes = b""
    ) -> Answer:
        """Make a call; a parameter that is None is left out. `path` is percent-encoded.

        Raises `Refused` when the API says no, `Unreached` when it says nothing.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        # What came from the terminal and is no UTF-8 goes as it came, for the API to judge.
        query = urlencode(given, errors="surrogateescape")
        request = Request(  # noqa: S310 (the scheme was checked)
            f"{self._access.url}{path}?{query}",
            data=None if method == "GET" else body,
            headers={"Content-Type": "application/octet-stream", "Accept": "application/json"},
            method=method,
        )
        if self._access.token:
            request.add_header("Authorization", f"Bearer {self._access.token}")
        status, headers, answered = self._exchange(request)
        if 300 <= status < 400:
            raise Unreached(redirected(self._access.url, headers.get("Location", "")))
        answer = answer_of(status, answered)
        if answer is None:
            raise Unreached(f"what answers at {self._access.url} is no dSock API (status {status})")
        if answer.content["success"] is not True:
            raise Refused(answer, self._hint(answer))
        return answer

    def _exchange(self, request: Request) -> tuple[int, HTTPMessage, bytes]:
        url = self._access.url
        try:
            try:
                response = self._opener.open(request, timeout=TIMEOUT)
            except HTTPError as error:
                response = error
            with response:
                return response.status, response.headers, response.read()
        except URLError as error:
            # urllib has caught what went wrong before the answer began.
            raise Unreached(_unreached(url, error.reason)) from None
        # UnicodeError: a host that cannot be one.
        except (OSError, HTTPException, UnicodeError) as error:
            raise Unreached(_unreached(url, error)) from None

    def _hint(self, answer: Answer) -> str:
        if answer.content.get("errorCode") != "INVALID_AUTHORIZATION":
            return ""
        if self._access.token:
            return f"the token sent is the one in {self._access.source}"
        return "no token was sent: set DSOCK_TOKEN, or DSOCK_TOKEN_FILE to a file that holds it"


class _StayHere(HTTPRedirectHandler):
    """Follows no redirect: the token is for the API, not for whom it points to."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class _Listening(HTTPConnection):
    """A connection that still reads the answer when the API does not take all of the body:
    one that finds a message too large says so before it has read it."""

    def send(self, data: Any) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            super().send(data)


class _ListeningSecure(_Listening, HTTPSConnection):
    """The same with TLS."""


class _Http(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_Listening, req)


class _Https(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_ListeningSecure, req)


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Around code that takes an answer to be one of dSock's. Raises `Unreached` if it is not."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, InvalidClaimId):
        raise Unreached(f"what {url} answers is no answer of a dSock API") from None


def answer_of(status: int, body: bytes) -> Answer | None:
    """The answer of a dSock, or None when it cannot be one."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    if not isinstance(content, dict) or "success" not in content:
        return None
    return Answer(status, body.strip(), content)


def redirected(url: str, location: str) -> str:
    """The line about somebody who sends us elsewhere."""
    try:
        parts = urlsplit(location)
        host = f" to {parts.scheme}://{parts.hostname}" if parts.hostname else ""
    except ValueError:
        host = ""
    return f"{url} redirects{host}: redirects are not followed, give the final address"


def reason_of(error: object) -> str:
    """Why a connection failed, for a person."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _unreached(url: str, error: object) -> str:
    # These may come after the call has: whoever repeats it should know.
    if isinstance(error, TimeoutError | ConnectionResetError | BrokenPipeError | IncompleteRead):
        return f"{url}: {reason_of(error)}; whether the call was carried out is not known"
    return f"{url} was not reached: {reason_of(error)}; another address: --url or DSOCK_URL"
