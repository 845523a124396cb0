"""How a command ends when it cannot do what it should: its status, and what it says."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from dsock.http.rules import Rules
from tests.support.cluster import TOKEN, Cluster, node_up
from tests.support.web import web
from tests.terminal.support import PATIENCE, Terminal, secrets_in

WRONG = "canary-wrong-77aa"
NOWHERE = "http://127.0.0.1:1"

# --- 1: dSock said no --------------------------------------------------------------------


async def test_a_refusal_is_said_with_its_code_and_its_request(terminal: Terminal) -> None:
    done = await terminal("claim", "42", "--duration", "-1")
    assert (done.status, done.out) == (1, b"")
    first, second = done.err.splitlines()
    assert first == "dsock claim: `duration` must be above 0."
    assert second.startswith("  NEGATIVE_DURATION, request ")


@pytest.mark.parametrize("duration", ["x", "1.5s", "5 m"])
async def test_a_duration_that_is_none_never_leaves_the_terminal(duration: str) -> None:
    done = await Terminal(NOWHERE)("claim", "42", "--duration", duration)
    assert done.status == 2
    assert done.err.startswith("dsock claim: --duration: not ")


async def test_a_wrong_token_is_said_to_be_wrong_and_where_it_is_from(
    node: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{WRONG}\n")
    terminal = Terminal(node.api.url, WRONG)
    by_file = ["--token-file", str(tmp_path / "token")]
    for arguments, source in (([], "DSOCK_TOKEN"), (by_file, "--token-file")):
        done = await terminal("info", "--user", "42", *arguments)
        assert done.status == 1
        assert "INVALID_AUTHORIZATION" in done.err
        assert done.err.endswith(f"the token sent is the one in {source}\n")
        assert not secrets_in(done, WRONG)


async def test_without_a_token_the_refusal_says_how_to_set_one(node: Cluster) -> None:
    done = await Terminal(node.api.url, token=None)("info", "--user", "42")
    assert done.status == 1
    assert "set DSOCK_TOKEN, or DSOCK_TOKEN_FILE" in done.err


async def test_an_api_that_anyone_may_use_needs_none() -> None:
    async with node_up("serve", token=(), insecure_no_token=True) as (_, address):
        done = await Terminal(f"http://{address}", token=None)("info", "--user", "42")
        assert (done.status, done.err) == (0, "")


async def test_of_two_tokens_the_first_is_sent(node: Cluster) -> None:
    done = await Terminal(node.api.url, f" {TOKEN} ,{WRONG}")("info", "--user", "42")
    assert done.status == 0


async def test_a_refusal_as_json_is_the_answer_and_nothing_else(terminal: Terminal) -> None:
    done = await terminal("claim", "42", "--duration", "-1", "--json")
    assert (done.status, done.err) == (1, "")
    assert json.loads(done.text)["errorCode"] == "NEGATIVE_DURATION"


async def test_a_message_that_is_too_large_is_said_to_be(terminal: Terminal) -> None:
    # The API answers and hangs up while most of it is still to be sent.
    body = bytes(20 * 2**20)
    done = await terminal("send", "--user", "42", "--binary", stdin=body)
    assert done.status == 1
    assert "MESSAGE_TOO_LARGE" in done.err


async def test_text_that_is_no_utf8_is_refused_by_the_api(terminal: Terminal) -> None:
    done = await terminal("send", "--user", "42", stdin=b"\xff")
    assert done.status == 1
    assert "INVALID_MESSAGE_TYPE" in done.err


async def test_a_worker_that_did_not_answer_is_told_with_the_counts() -> None:
    async def unanswered(_: Request) -> Response:
        report = {"workers": 2, "connections": 3, "dropped": 0, "unanswered": 1}
        content = {"success": False, "error": "Not all.\x1b[2J", "errorCode": "WORKER_UNANSWERED"}
        return JSONResponse(content | {"report": report}, 504)

    async with web(Rules(), Route("/disconnect", unanswered, methods=["POST"])) as address:
        done = await Terminal(f"http://{address}")("disconnect", "--user", "42")
    assert done.status == 1
    assert done.err.splitlines() == [
        "dsock disconnect: Not all.\\x1b[2J",
        "  told 2 workers, 1 did not answer, 3 connections matched",
        "  WORKER_UNANSWERED",
    ]


# --- 2: called wrongly -------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["claim"],
        ["claim", "42", "--duration", "1", "--expiration", "2"],
        ["send", "x"],
        ["send", "--user", "1", "--channel", "news", "x"],
        ["send", "--channel", "news", "--session", "a", "x"],
        ["send", "--user", "1", "--file", "/dev/null", "x"],
        ["send", "--user", "1", "--file", "/nowhere/at/all"],
        ["send", "--user", "1", "x", "y"],
        ["send", "--us", "1", "x"],
        ["disconnect"],
        ["subscribe", "--user", "1"],
        ["info", "--user", "1", "--url", "localhost:6241"],
        ["info", "--user", "1", "--url", "http://me:secret@localhost"],
        ["info", "--user", "1", "--url", "http://localhost/?token=secret"],
        ["info", "--user", "1", "--token-file", "/nowhere/at/all"],
        ["info", "--user", "1", "--token", "secret"],
        ["info", "--user", "1", "--token=secret"],
        ["listen"],
        ["listen", "--user", "1", "--claim", "12345678"],
        ["listen", "--claim", "a b secret"],
        ["listen", "--claim", "12345678", "--channels", "x"],
        ["listen", "--user", "1", "--connect-url", "http://localhost"],
        ["listen", "--jwt-file", "/dev/null"],
        ["completion"],
        ["completion", "csh"],
    ],
    ids=" ".join,
)
async def test_a_call_that_makes_no_sense_ends_with_one_line_and_status_2(
    arguments: list[str],
) -> None:
    done = await Terminal(NOWHERE)(*arguments)
    assert (done.status, done.out) == (2, b"")
    (line,) = done.err.splitlines()
    assert line.startswith("dsock")
    assert "secret" not in line.replace("is a secret", "")


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "päss"])
async def test_a_token_that_cannot_be_sent_is_not_repeated(token: str) -> None:
    done = await Terminal(NOWHERE, token)("info", "--user", "1")
    assert done.status == 2
    assert done.err == "dsock info: DSOCK_TOKEN: only visible ASCII characters can be sent\n"


# --- 3: not reached ----------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["info", "--user", "1"], ["listen", "--user", "1"]])
async def test_an_api_that_is_not_there_is_said_not_to_be(arguments: list[str]) -> None:
    done = await Terminal(NOWHERE)(*arguments, "--json")
    assert (done.status, done.out) == (3, b"")
    assert done.err == (
        f"dsock {arguments[0]}: {NOWHERE} was not reached: Connection refused; "
        "another address: --url or DSOCK_URL\n"
    )


async def test_an_answer_of_something_else_is_not_taken_for_one_of_dsock() -> None:
    async def other(_: Request) -> Response:
        return PlainTextResponse("<h1>Bad gateway</h1>", 502)

    async def nearly(_: Request) -> Response:
        return JSONResponse({"success": True, "report": "fine", "claim": {"id": "a\r\nb: c"}})

    paths = ["/send", "/claim"]
    routes = [Route("/info", other), *(Route(path, nearly, methods=["POST"]) for path in paths)]
    async with web(Rules(), *routes) as address:
        terminal = Terminal(f"http://{address}")
        for arguments in (
            ["info", "--user", "1"],
            ["send", "--user", "1", "x"],
            ["listen", "--user", "1"],
        ):
            done = await terminal(*arguments)
            assert (done.status, done.out) == (3, b"")
            assert "dSock API" in done.err
            assert done.err.count("\n") == 1


async def test_no_redirect_gets_the_token() -> None:
    shown: list[str | None] = []

    async def elsewhere(request: Request) -> Response:
        shown.append(request.headers.get("authorization"))
        return JSONResponse({"success": True, "connections": [], "claims": []})

    async with web(Rules(), Route("/info", elsewhere)) as other:

        async def here(_: Request) -> Response:
            return RedirectResponse(f"http://{other}/info?user=1")

        async with web(Rules(), Route("/info", here)) as address:
            done = await Terminal(f"http://{address}")("info", "--user", "1")
    assert (done.status, shown) == (3, [])
    assert "redirects to http://127.0.0.1" in done.err


# --- Ctrl-C, and when nobody reads ---------------------------------------------------------


async def test_output_that_nobody_reads_any_more_is_no_failure(terminal: Terminal) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    async with terminal.start("info", "--user", "1", stdout=writing) as command:
        os.close(writing)
        done = await command.ended()
    assert (done.status, done.err) == (0, "")


async def test_output_that_nobody_wants_is_not_missed(terminal: Terminal) -> None:
    shell = f"exec {sys.executable} -m dsock info --user 1 --json >&- 2>&-"
    process = await asyncio.create_subprocess_exec("sh", "-c", shell, env=terminal.environment)
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0


async def test_output_that_cannot_be_written_is_a_failure(terminal: Terminal) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    async with terminal.start("claim", "42", stdout=full) as command:
        os.close(full)
        done = await command.ended()
    assert done.status == 1
    assert done.err == "dsock claim: cannot write: No space left on device\n"


async def test_ctrl_c_ends_a_call_that_hangs_without_a_word() -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def hang(_: Request) -> Response:
        asked.set()
        await release.wait()
        return PlainTextResponse("too late")

    async with (
        web(Rules(), Route("/info", hang)) as address,
        Terminal(f"http://{address}").start("info", "--user", "1") as command,
    ):
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
        command.interrupt()
        assert await command.ended() == (130, b"", "")
        release.set()
