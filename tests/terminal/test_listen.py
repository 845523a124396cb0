"""A listener: what it shows to be let in, what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import jwt
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from websockets.asyncio.server import ServerConnection

from dsock.http.rules import Rules
from tests.support.cluster import JWT_SECRET, Cluster
from tests.support.eventually import eventually
from tests.support.web import web
from tests.terminal.support import TIMED, Terminal, heard, listening, secrets_in, worker

# --- messages ----------------------------------------------------------------------------


async def test_messages_are_printed_as_they_come_with_their_time(
    node: Cluster, terminal: Terminal
) -> None:
    async with listening(
        terminal, "--user", "42", "--session", "a", "--channels", "news"
    ) as listener:
        before = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
        await node.api.send("Grüße", user="42", session="a")
        found = TIMED.fullmatch(await listener.line())
        assert found
        assert found[4] == "Grüße"
        at = before.replace(hour=int(found[1]), minute=int(found[2]), second=int(found[3]))
        assert (at - before).total_seconds() % 86400 < 60
        await node.api.send("to the channel", channel="news")
        assert await heard(listener) == "to the channel"


async def test_a_message_cannot_drive_the_terminal(node: Cluster, terminal: Terminal) -> None:
    async with listening(terminal, "--user", "42") as listener:
        await node.api.send("\x1b]0;title\x07 two\nlines \x9b2J", user="42")
        assert await heard(listener) == "\\x1b]0;title\\x07 two\\nlines \\x9b2J"


async def test_a_binary_message_is_shown_in_hex(node: Cluster, terminal: Terminal) -> None:
    async with listening(terminal, "--user", "42") as listener:
        await node.api.send(b"\x00\xff\n", "binary", user="42")
        assert await heard(listener) == "[binary, 3 bytes] 00 ff 0a"
        await node.api.send(bytes(1000), "binary", user="42")
        assert (await heard(listener)).startswith("[binary, 1000 bytes] 00 ")


async def test_as_json_each_message_is_an_object_and_whole(
    node: Cluster, terminal: Terminal
) -> None:
    text, data = 'a\nb "\x1b\x9b" 世界', bytes(range(256)) * 8
    async with listening(terminal, "--user", "42", "--json") as listener:
        await node.api.send(text, user="42")
        await node.api.send(data, "binary", user="42")
        lines = [await listener.line(), await listener.line()]
    # Neither can JSON drive the terminal.
    assert "".join(lines).isprintable()
    one, two = map(json.loads, lines)
    assert (one["type"], one["data"]) == ("text", text)
    assert (two["type"], base64.b64decode(two["data"])) == ("binary", data)
    assert abs(datetime.fromisoformat(one["time"]).timestamp() - time.time()) < 60


# --- credentials -------------------------------------------------------------------------


async def test_a_claim_that_exists_can_be_used(node: Cluster, terminal: Terminal) -> None:
    id = await node.api.claim("42")
    async with listening(terminal, "--claim", id) as listener:
        await node.api.send("x", user="42")
        assert await heard(listener) == "x"
    async with terminal.start("listen", "--claim", id) as late:
        done = await late.ended()
    assert done.status == 1
    assert "MISSING_CLAIM" in done.err
    assert not secrets_in(done, id)


async def test_a_jwt_comes_from_a_file(node: Cluster, terminal: Terminal, tmp_path: Path) -> None:
    token = jwt.encode({"sub": "42", "exp": int(time.time()) + 60}, JWT_SECRET)
    (tmp_path / "jwt").write_text(f"{token}\n")
    async with listening(terminal, "--jwt-file", str(tmp_path / "jwt")) as listener:
        await node.api.send("x", user="42")
        assert await heard(listener) == "x"
    (tmp_path / "jwt").write_text(f"{token}x")
    done = await terminal("listen", "--jwt-file", str(tmp_path / "jwt"), "--json")
    assert (done.status, done.err) == (1, "")
    assert json.loads(done.text)["errorCode"] == "INVALID_JWT"
    assert not secrets_in(done, token)


async def test_an_address_without_a_worker_is_said_to_be_one(
    node: Cluster, terminal: Terminal
) -> None:
    host = node.workers[0]
    done = await terminal("listen", "--user", "42", "--connect-url", f"ws://{host}/wrong")
    assert done.status == 1
    assert "NOT_FOUND" in done.err
    assert "DSOCK_CONNECT_URL" in done.err
    done = await terminal("listen", "--user", "42", DSOCK_CONNECT_URL="ws://127.0.0.1:1")
    assert done.status == 3
    assert done.err == (
        "dsock listen: ws://127.0.0.1:1/connect was not reached: Connection refused\n"
    )


async def test_no_redirect_gets_the_claim(terminal: Terminal) -> None:
    asked = asyncio.Event()

    async def elsewhere(_: ServerConnection) -> None:
        asked.set()

    async with worker(elsewhere) as other:

        async def here(_: Request) -> Response:
            return RedirectResponse(f"{other}/connect")

        async with web(Rules(), Route("/connect", here)) as address:
            done = await terminal("listen", "--user", "1", "--connect-url", f"ws://{address}")
    assert done.status == 3
    assert "redirects to ws://127.0.0.1" in done.err
    assert not asked.is_set()


# --- the end -----------------------------------------------------------------------------


async def test_ctrl_c_ends_it_with_success_and_a_goodbye(node: Cluster, terminal: Terminal) -> None:
    async with listening(terminal, "--user", "42") as listener:
        await node.api.send("x", user="42")
        assert await heard(listener) == "x"
        listener.interrupt()
        done = await listener.ended()
    assert done == (0, b"", "")

    async def left() -> bool:
        return not (await node.api.info(user="42"))["connections"]

    await eventually(left)


async def test_the_worker_hears_that_all_is_well(terminal: Terminal) -> None:
    code = asyncio.get_running_loop().create_future()

    async def client(client: ServerConnection) -> None:
        await client.wait_closed()
        code.set_result(client.close_code)

    async with worker(client) as url:
        async with listening(terminal, "--user", "42", "--connect-url", url) as listener:
            listener.interrupt()
            assert (await listener.ended()).status == 0
        assert await code == 1000


async def test_a_disconnect_ends_it_with_the_code_and_the_reason(
    node: Cluster, terminal: Terminal
) -> None:
    async with listening(terminal, "--user", "42") as listener:
        await node.api.disconnect(user="42")
        done = await listener.ended()
    assert done.status == 1
    assert done.err == (
        "dsock listen: closed by the worker: 1000 disconnected by the application\n"
    )


async def test_a_reader_that_has_had_enough_ends_it_quietly(
    node: Cluster, terminal: Terminal
) -> None:
    reading, writing = os.pipe()
    async with terminal.start("listen", "--user", "42", stdout=writing) as listener:
        os.close(writing)
        await listener.aside()
        await node.api.send("first", user="42")
        assert (await asyncio.to_thread(os.read, reading, 4096)).endswith(b"first\n")
        os.close(reading)
        await node.api.send("second", user="42")
        done = await listener.ended()
    assert (done.status, done.err) == (0, "")
