"""A listener whose worker goes away: when it comes back, and when that is the end."""

from __future__ import annotations

import json

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from dsock.terminal.listen import FIRST_WAIT, LONGEST_WAIT, Waits
from tests.support.cluster import Cluster
from tests.terminal.support import Terminal, heard, listening, secrets_in, worker


class Goodbyes:
    """A worker's side that closes its first clients with these codes; later ones stay."""

    def __init__(self, *codes: int) -> None:
        self.claims: list[str] = []
        self._codes = list(codes)

    async def __call__(self, client: ServerConnection) -> None:
        assert client.request
        _, claim = client.request.headers["Sec-WebSocket-Protocol"].split(", ")
        assert "claim" not in client.request.path
        self.claims.append(claim.removeprefix("dsock.claim."))
        if self._codes:
            await client.close(self._codes.pop(0), "gone\x1b[2J")
        else:
            await client.send("here again")
            await client.wait_closed()


async def test_a_worker_that_says_come_back_is_obeyed_with_a_new_claim(
    terminal: Terminal,
) -> None:
    goodbyes = Goodbyes(1012, 1013)
    async with (
        worker(goodbyes) as url,
        listening(terminal, "--user", "42", "--connect-url", url) as listener,
    ):
        assert await heard(listener) == "here again"
        assert len(set(goodbyes.claims)) == 3
        listener.interrupt()
        done = await listener.ended()
    assert done.status == 0
    lines = done.err.splitlines()
    assert lines[0].startswith("closed by the worker: 1012 gone\\x1b[2J; connecting again in 0.")
    assert lines[2].startswith("closed by the worker: 1013 gone")
    assert not secrets_in(done, *goodbyes.claims)


@pytest.mark.parametrize("status", [503, 429])
async def test_what_is_away_for_a_while_is_tried_again(terminal: Terminal, status: int) -> None:
    goodbyes, tries = Goodbyes(1012), 0

    def gate(client: ServerConnection, _: Request) -> Response | None:
        nonlocal tries
        tries += 1
        if tries == 2:
            return client.respond(status, json.dumps({"success": False, "error": "Draining."}))
        if tries == 3:
            client.transport.abort()
        return None

    async with (
        worker(goodbyes, gate) as url,
        listening(terminal, "--user", "42", "--connect-url", url) as listener,
    ):
        assert await heard(listener) == "here again"
        listener.interrupt()
        done = await listener.ended()
    assert (done.status, tries) == (0, 4)
    assert done.err.splitlines()[1].startswith("Draining.; connecting again in ")


async def test_a_refusal_on_coming_back_is_the_end(terminal: Terminal) -> None:
    tries = 0

    def gate(client: ServerConnection, _: Request) -> Response | None:
        nonlocal tries
        tries += 1
        body = json.dumps({"success": False, "error": "No.", "errorCode": "MISSING_CLAIM"})
        return None if tries == 1 else client.respond(401, body)

    async with worker(Goodbyes(1012), gate) as url:
        done = await terminal("listen", "--user", "42", "--connect-url", url)
    assert (done.status, tries) == (1, 2)
    assert done.err.endswith("dsock listen: No.\n  MISSING_CLAIM\n")


async def test_ctrl_c_ends_the_wait_too(terminal: Terminal) -> None:
    async with (
        worker(Goodbyes(*[1012] * 20)) as url,
        listening(terminal, "--user", "42", "--connect-url", url) as listener,
    ):
        while "again" not in await listener.aside():
            pass
        listener.interrupt()
        done = await listener.ended()
    assert done.status == 0
    assert "Traceback" not in done.err


@pytest.mark.parametrize("code", [1000, 1008, 1011])
async def test_another_goodbye_is_the_end(terminal: Terminal, code: int) -> None:
    async with worker(Goodbyes(code)) as url:
        done = await terminal("listen", "--user", "42", "--connect-url", url)
    assert done.status == 1
    assert f"closed by the worker: {code} gone" in done.err


async def test_who_wants_to_listen_once_does_not_come_back(
    node: Cluster, terminal: Terminal
) -> None:
    id = await node.api.claim("42")
    for arguments in (["--user", "42", "--once"], ["--claim", id]):
        goodbyes = Goodbyes(1012)
        async with worker(goodbyes) as url:
            done = await terminal("listen", *arguments, "--connect-url", url)
        assert done.status == 1
        assert len(goodbyes.claims) == 1


async def cut(client: ServerConnection) -> None:
    client.transport.abort()


async def test_a_connection_that_is_cut_is_said_to_be(terminal: Terminal) -> None:
    async with worker(cut) as url:
        done = await terminal("listen", "--user", "42", "--once", "--connect-url", url)
    assert done.status == 1
    assert done.err.endswith("dsock listen: the connection was lost without a goodbye\n")


async def test_who_was_cut_off_comes_back(terminal: Terminal) -> None:
    visits = 0

    async def cut_once(client: ServerConnection) -> None:
        nonlocal visits
        visits += 1
        if visits == 1:
            await cut(client)
        else:
            await client.close(1000, "gone")

    async with worker(cut_once) as url:
        done = await terminal("listen", "--user", "42", "--connect-url", url)
    assert "the connection was lost without a goodbye; connecting again in" in done.err
    assert visits == 2


def test_each_wait_may_be_longer_than_the_one_before_up_to_a_bound() -> None:
    waits = Waits(clock=lambda: 0.0)
    for longest in (0.5, 1, 2, 4, 8, 16, 30, 30):
        waits.after_connection()
        assert longest / 2 <= waits.next() <= longest


def test_a_connection_that_held_for_long_ends_the_series() -> None:
    now = [0.0]
    waits = Waits(clock=lambda: now[0])
    for _ in range(9):
        waits.next()
    now[0] += 2 * LONGEST_WAIT + 1
    waits.after_connection()
    assert waits.next() <= FIRST_WAIT
