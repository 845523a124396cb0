"""`dsock listen`: a plain client that prints every message."""

from __future__ import annotations

import base64
import json
import random
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime

from websockets.exceptions import ConnectionClosed

from dsock import names
from dsock.errors import InvalidClaimId
from dsock.terminal import words
from dsock.terminal.access import Access, connect_url, for_header, secret_in
from dsock.terminal.call import Api, reading
from dsock.terminal.dial import Credential, dial, place
from dsock.terminal.failures import OK, Closed, Failure, Misused
from dsock.terminal.output import aside, hand_on, say

COME_BACK = (1012, 1013)
"""Close codes by which a worker asks its clients to connect again (see `dsock.close`)."""

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before connecting again."""

Show = Callable[[str | bytes], None]


def listen(options: Namespace, environment: Mapping[str, str], access: Access) -> int:
    """Print messages until Ctrl-C; returns the exit status. Raises `Failure`."""
    _check(options)
    url = connect_url(options.connect_url, environment, access.url)
    credential = _credentials(options, access)
    show = _show_json if options.json else _show_text
    # A claim is used up by connecting.
    once = options.once or options.claim is not None
    connected, waits = False, Waits()
    try:
        while True:
            try:
                # closing() says goodbye with 1000 when Ctrl-C ends this; the connection
                # itself would call that a failure.
                with dial(url, credential()) as connection, closing(connection):
                    connected = True
                    aside(f"listening at {place(url)}; Ctrl-C ends")
                    while True:
                        show(connection.recv())
            except ConnectionClosed as closed:
                why = _goodbye(closed)
                if once or not _may_come_back(closed):
                    raise Closed(why) from None
                waits.after_connection()
            except Failure as failure:
                if once or not connected or not failure.passing:
                    raise
                why = str(failure)
            wait = waits.next()
            aside(f"{why}; connecting again in {wait:.1f} s")
            time.sleep(wait)
    except KeyboardInterrupt:
        return OK


class Waits:
    """How long to wait before connecting again: longer each time, and never as long as others
    who lost the same worker."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tried = clock()
        self._wait = FIRST_WAIT

    def after_connection(self) -> None:
        """A connection has ended; one that held for long ends the series."""
        if self._clock() - self._tried > LONGEST_WAIT:
            self._wait = FIRST_WAIT

    def next(self) -> float:
        """Seconds to wait now."""
        wait = self._wait * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
        self._wait = min(2 * self._wait, LONGEST_WAIT)
        self._tried = self._clock() + wait
        return wait


def _check(options: Namespace) -> None:
    if options.user is None and (options.session is not None or options.channels is not None):
        raise Misused("--session and --channels go with --user")
    if options.claim is not None:
        try:
            names.claim_id(options.claim)
        except InvalidClaimId as error:
            raise Misused(f"--claim: {error}") from None


def _credentials(options: Namespace, access: Access) -> Callable[[], Credential]:
    """What gives a credential for each new connection."""

    def new_claim() -> Credential:
        asked = {name: getattr(options, name) for name in ("user", "session", "channels")}
        made = Api(access).call("POST", "/claim", asked)
        with reading(access.url):
            return Credential(claim=names.claim_id(made.content["claim"]["id"]))

    def jwt() -> Credential:
        # Read each time: whoever keeps the file fresh may have written a new one.
        return Credential(jwt=for_header(secret_in(options.jwt_file, "--jwt-file"), "--jwt-file"))

    if options.claim is not None:
        return lambda: Credential(claim=options.claim)
    return jwt if options.jwt_file else new_claim


def _show_text(message: str | bytes) -> None:
    text = message if isinstance(message, str) else words.hexed(message)
    now = datetime.now()
    # say() would begin a new line where the message has one.
    say(f"{now:%H:%M:%S}.{now.microsecond // 1000:03d} {words.escaped(text)}")


def _show_json(message: str | bytes) -> None:
    line = {
        "time": datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "type": "text" if isinstance(message, str) else "binary",
        "data": message if isinstance(message, str) else base64.b64encode(message).decode(),
    }
    # As ASCII: JSON does not escape every character that drives a terminal.
    hand_on(json.dumps(line, separators=(",", ":")).encode())


def _may_come_back(closed: ConnectionClosed) -> bool:
    # Without any goodbye the worker, or something on the way to it, has died.
    if closed.rcvd is None:
        return closed.sent is None
    return closed.rcvd.code in COME_BACK


def _goodbye(closed: ConnectionClosed) -> str:
    if closed.rcvd is not None:
        return f"closed by the worker: {closed.rcvd.code} {closed.rcvd.reason}".rstrip()
    if closed.sent is not None:
        return f"the connection failed: {closed.sent.code} {closed.sent.reason}".rstrip()
    return "the connection was lost without a goodbye"
