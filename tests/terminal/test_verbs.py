"""Each verb from the terminal, against a node."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.terminal.support import Terminal

# --- claim -------------------------------------------------------------------------------


async def test_a_claim_is_its_id_alone_so_that_a_script_can_use_it(
    node: Cluster, terminal: Terminal
) -> None:
    done = await terminal("claim", "42", "--session", "a", "--channels", "news,x")
    assert (done.status, done.err) == (0, "")
    (claim,) = (await node.api.info(user="42", session="a"))["claims"]
    assert (claim["id"], claim["channels"]) == (done.text, ["news", "x"])


async def test_asked_to_say_more_a_claim_says_it_beside_its_id(terminal: Terminal) -> None:
    done = await terminal("claim", "42", "--session", "a", "--channels", "x", "-v")
    assert "\n" not in done.text
    assert done.err.startswith("user 42, session a, channels x, expires ")
    assert done.text not in done.err


@pytest.mark.parametrize(
    ("options", "seconds"),
    [(["--duration", "90"], 90), (["--duration", "5m"], 300), (["--duration", "1h0.5m"], 3630)],
)
async def test_a_duration_is_seconds_or_what_go_calls_one(
    terminal: Terminal, options: list[str], seconds: int
) -> None:
    done = await terminal("claim", "42", "--json", *options)
    life = json.loads(done.out)["claim"]["expiration"] - time.time()
    assert seconds - 10 < life <= seconds


async def test_a_claim_may_have_an_end_and_an_id_of_its_own(terminal: Terminal) -> None:
    end = str(int(time.time()) + 1000)
    done = await terminal("claim", "42", "--expiration", end, "--id", "my-own-claim", "--json")
    assert json.loads(done.out)["claim"] == {
        "id": "my-own-claim",
        "expiration": int(end),
        "user": "42",
        "channels": [],
    }


# --- send --------------------------------------------------------------------------------


async def test_a_message_arrives_and_its_report_is_a_sentence(
    node: Cluster, terminal: Terminal
) -> None:
    async with node.client("42") as one, node.client("42") as two:
        done = await terminal("send", "--user", "42", "Grüße 👋")
        assert (done.status, done.text) == (0, "sent to 2 connections on 1 worker")
        assert [await one.recv(), await two.recv()] == ["Grüße 👋"] * 2


async def test_a_session_a_channel_and_a_connection_can_be_sent_to(
    node: Cluster, terminal: Terminal
) -> None:
    async with node.client("42", session="a", channels="news") as client, node.client("42"):
        (shown,) = (await node.api.info(user="42", session="a"))["connections"]
        for target in (
            ["--user", "42", "--session", "a"],
            ["--channel", "news"],
            ["--id", shown["id"]],
        ):
            done = await terminal("send", *target, "for one")
            assert done.text == "sent to 1 connection on 1 worker"
            assert await client.recv() == "for one"


@pytest.mark.parametrize("arguments", [[], ["-"]], ids=["absent", "dash"])
async def test_standard_input_is_sent_byte_for_byte(
    node: Cluster, terminal: Terminal, arguments: list[str]
) -> None:
    body = bytes(range(256)) * 300 + b"\r\n"
    async with node.client("42") as client:
        done = await terminal("send", "--user", "42", "--binary", *arguments, stdin=body)
        assert done.status == 0
        assert await client.recv() == body


async def test_who_types_a_message_is_told_how_to_end_it(node: Cluster, terminal: Terminal) -> None:
    keyboard, tty = os.openpty()
    async with (
        node.client("42") as client,
        terminal.start("send", "--user", "42", stdin=tty) as command,
    ):
        os.close(tty)
        assert "Ctrl-D" in await command.aside()
        os.write(keyboard, b"typed\n\x04")
        assert await client.recv() == "typed\n"
        assert (await command.ended()).status == 0
    os.close(keyboard)


async def test_a_file_is_sent_byte_for_byte(
    node: Cluster, terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "message").write_bytes(b"\x00\xff\n")
    async with node.client("42") as client:
        path = str(tmp_path / "message")
        assert (await terminal("send", "--user", "42", "--binary", "--file", path)).status == 0
        assert await client.recv() == b"\x00\xff\n"


async def test_a_message_that_looks_like_an_option_goes_behind_two_dashes(
    node: Cluster, terminal: Terminal
) -> None:
    async with node.client("42") as client:
        assert (await terminal("send", "--user", "42", "--", "--binary")).status == 0
        assert await client.recv() == "--binary"


async def test_sending_to_nobody_succeeds_and_says_so(terminal: Terminal) -> None:
    done = await terminal("send", "--user", "nobody", "x")
    assert (done.status, done.text) == (0, "nobody is connected")


async def test_without_a_report_only_who_was_told_is_said(
    node: Cluster, terminal: Terminal
) -> None:
    async with node.client("42") as client:
        done = await terminal("send", "--user", "42", "--no-report", "x")
        assert done.text == "told 1 worker"
        assert await client.recv() == "x"


# --- the others --------------------------------------------------------------------------


async def test_a_disconnect_closes_and_voids(node: Cluster, terminal: Terminal) -> None:
    async with node.client("42") as client:
        await node.api.claim("42")
        done = await terminal("disconnect", "--user", "42")
        assert done.text == (
            "disconnected 1 connection on 1 worker; claims that were not used yet are void"
        )
        await client.wait_closed()
        assert client.close_code == 1000
        assert (await node.api.info(user="42"))["claims"] == []


async def test_by_the_id_of_a_connection_nothing_is_said_of_claims(
    node: Cluster, terminal: Terminal
) -> None:
    async with node.client("42"):
        await node.api.claim("42")
        [one] = (await node.api.info(user="42"))["connections"]
        for verb in (["subscribe", "news"], ["unsubscribe", "news"], ["disconnect"]):
            done = await terminal(*verb, "--id", one["id"])
            assert done.text.endswith("ed 1 connection on 1 worker")
        assert len((await node.api.info(user="42"))["claims"]) == 1


async def test_a_disconnect_can_keep_claims(node: Cluster, terminal: Terminal) -> None:
    id = await node.api.claim("42")
    done = await terminal("disconnect", "--user", "42", "--keep-claims")
    assert done.text == "nobody is connected"
    assert [claim["id"] for claim in (await node.api.info(user="42"))["claims"]] == [id]


async def test_connections_and_claims_are_put_into_a_channel_and_taken_out(
    node: Cluster, terminal: Terminal
) -> None:
    channel = "a/b %ä"
    async with node.client("42"):
        await node.api.claim("42")
        done = await terminal("subscribe", channel, "--user", "42")
        assert done.text == (
            f"{channel}: subscribed 1 connection on 1 worker; "
            "claims that were not used yet are in too"
        )
        found = await node.api.info(channel=channel)
        assert [len(found["connections"]), len(found["claims"])] == [1, 1]
        done = await terminal("unsubscribe", channel, "--channel", channel)
        assert "unsubscribed 1 connection on 1 worker" in done.text
        found = await node.api.info(channel=channel)
        assert [len(found["connections"]), len(found["claims"])] == [0, 0]


@pytest.mark.parametrize(("verb", "before"), [("subscribe", ""), ("unsubscribe", "news")])
async def test_claims_can_be_left_as_they_are(
    node: Cluster, terminal: Terminal, verb: str, before: str
) -> None:
    await node.api.claim("42", channels=before)
    done = await terminal(verb, "news", "--user", "42", "--ignore-claims")
    assert done.text == "news: nobody is connected"
    (claim,) = (await node.api.info(user="42"))["claims"]
    assert ",".join(claim["channels"]) == before


async def test_info_is_a_table_of_connections_and_claims(node: Cluster, terminal: Terminal) -> None:
    async with node.client("42", session="a", channels="news,x"):
        claim = await node.api.claim("42", channels="later")
        (shown,) = (await node.api.info(user="42"))["connections"]
        done = await terminal("info", "--user", "42")
        lines = [line.split() for line in done.text.splitlines()]
        assert lines[0] == ["1", "connection"]
        assert lines[1] == ["ID", "USER", "SESSION", "CHANNELS", "LAST", "PING", "WORKER"]
        assert lines[2][:4] == [shown["id"], "42", "a", "news,x"]
        assert lines[2][-1] == shown["worker"]
        assert lines[3] == ["1", "claim"]
        assert lines[5][:3] == ["42", "-", "later"]
        assert lines[5][4] == "(in"
        assert claim not in done.text


async def test_info_about_nobody_says_so(terminal: Terminal) -> None:
    done = await terminal("info", "--channel", "empty")
    assert (done.status, done.text) == (0, "no connections\nno claims")


@pytest.mark.parametrize(
    "arguments",
    [
        ["claim", "42"],
        ["send", "--user", "42", "x"],
        ["disconnect", "--user", "42"],
        ["subscribe", "news", "--user", "42"],
        ["unsubscribe", "news", "--user", "42"],
        ["info", "--user", "42"],
    ],
    ids=lambda arguments: arguments[0],
)
async def test_json_is_the_answer_on_one_line_and_nothing_else(
    terminal: Terminal, arguments: list[str]
) -> None:
    done = await terminal(*arguments, "--json")
    assert (done.status, done.err) == (0, "")
    assert "\n" not in done.text
    assert json.loads(done.text)["success"] is True
