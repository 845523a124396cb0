"""What every backend promises about commands and presence, without HTTP."""

from __future__ import annotations

import asyncio

import pytest

from dsock.backends.base import Backend
from dsock.claim import Claim
from dsock.command import Command, Disconnect, MessageType, Send, Subscribe, Unsubscribe
from dsock.presence import Presence
from dsock.report import Report
from dsock.target import Target, ToChannel, ToConnection, ToUser
from tests.support.eventually import eventually, holds_within
from tests.support.recorder import Line, Member

LINES = [
    Line("line-a", "a", None, {"news": None, "sport": None}),
    Line("line-a-b-c", "a", "b-c", {"new": None}),
    Line("line-a-b", "a-b", "c", {"news": None}),
    Line("line-b", "b", "c"),
]
TARGETS: list[tuple[Target, list[int]]] = [
    (ToUser("a"), [0, 1]),
    (ToUser("a", "b-c"), [1]),
    (ToUser("a-b"), [2]),
    (ToUser("a-b", "c"), [2]),
    (ToUser("a", "b"), []),
    (ToUser("nobody"), []),
    (ToChannel("news"), [0, 2]),
    (ToChannel("new"), [1]),
    (ToChannel("n*"), []),
    (ToConnection("line-b"), [3]),
    (ToConnection("b"), []),
]
by_target = pytest.mark.parametrize(("target", "selected"), TARGETS, ids=repr)


def send(target: Target, body: str = "hello") -> Send:
    return Send(target, MessageType.TEXT, body.encode())


async def admit_all(members: list[Member]) -> None:
    """Even ones at the first worker, odd ones at the second."""
    for n, line in enumerate(LINES):
        await members[n % 2].admit(
            Line(line.id, line.user, line.session, dict(line.channels), line.last_ping)
        )


async def ids(backend: Backend, target: Target) -> list[str]:
    return sorted(one.id for one in (await backend.info(target)).connections)


@by_target
async def test_commands_reach_the_workers_that_hold_the_target(
    backend: Backend, members: list[Member], target: Target, selected: list[int]
) -> None:
    await admit_all(members)
    commands: list[Command] = [
        send(target),
        Subscribe(target, "extra"),
        Unsubscribe(target, "extra"),
        Disconnect(target),
    ]
    for command in commands:
        report = await backend.publish(command)
        assert (report.connections, report.dropped, report.unanswered) == (len(selected), 0, 0)
    for n, member in enumerate(members):
        if any(one % 2 == n for one in selected):
            assert member.recorder.commands == commands


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.usefixtures("members")
async def test_b69_telling_nobody_is_no_error_and_no_success(backend: Backend, wait: bool) -> None:
    for target in (ToUser("nobody"), ToUser("a", "s"), ToChannel("none"), ToConnection("no")):
        assert await backend.publish(send(target), wait) == Report()


async def test_without_waiting_the_report_has_only_the_workers(
    backend: Backend, members: list[Member]
) -> None:
    await admit_all(members)
    report = await backend.publish(send(ToChannel("news")), wait=False)
    assert report == Report(workers=report.workers)
    assert await members[0].recorder.heard(1) == [send(ToChannel("news"))]


async def test_concurrent_commands_are_told_once_and_in_the_order_of_the_calls(
    backend: Backend, members: list[Member]
) -> None:
    await admit_all(members)
    targets: list[Target] = [ToUser("a"), ToChannel("news"), ToConnection("line-a")]
    commands = [
        Subscribe(target, f"channel-{n}") if n % 2 else send(target, str(n))
        for n in range(100)
        for target in targets
    ]
    await asyncio.gather(
        *(backend.publish(command, wait=n % 5 == 0) for n, command in enumerate(commands))
    )
    assert await members[0].recorder.heard(len(commands)) == commands


async def test_each_command_is_answered_with_its_own_outcome(
    backend: Backend, members: list[Member]
) -> None:
    for n in range(5):
        for i in range(n):
            await members[i % 2].admit(Line(f"line-{n}-{i}", f"user-{n}"))
    reports = await asyncio.gather(
        *(backend.publish(send(ToUser(f"user-{n % 5}"))) for n in range(100))
    )
    assert [report.connections for report in reports] == [n % 5 for n in range(100)]


@by_target
async def test_b64_b65_info_shows_the_connections_of_the_target(
    backend: Backend, members: list[Member], target: Target, selected: list[int]
) -> None:
    await admit_all(members)
    assert await ids(backend, target) == sorted(LINES[n].id for n in selected)


async def test_info_shows_all_of_a_connection(backend: Backend, members: list[Member]) -> None:
    await members[0].admit(Line("line-1", "user", "s", {"b": None, "a": None}, 1_700_000_000.9))
    await members[1].admit(Line("line-2", "user"))
    connections = (await backend.info(ToUser("user"))).connections
    one, two = sorted(connections, key=lambda one: one.id)
    assert one == Presence("line-1", one.worker, "user", "s", ("b", "a"), 1_700_000_000)
    assert two == Presence("line-2", two.worker, "user", None, (), 1_700_000_000)
    assert one.worker != two.worker


async def test_a_pending_connection_is_told_and_not_shown(
    backend: Backend, members: list[Member]
) -> None:
    line = Line("line", "user", None, {"news": None})
    members[1].recorder.lines.append(line)
    await members[1].membership.open_routes(line)
    assert await members[1].membership.take(Claim("none", "user", None, (), 0)) is False
    for target in (ToUser("user"), ToChannel("news")):
        assert (await backend.publish(Disconnect(target))).connections == 1
        assert await ids(backend, target) == []


async def test_who_moved_is_found_where_it_is_now(backend: Backend, members: list[Member]) -> None:
    line = await members[1].admit(Line("line", "user", None, {"news": None}))
    for n in range(20):
        await members[1].move(line, "sport", subscribed=True)
        await members[1].move(line, "news", subscribed=False)
        assert await ids(backend, ToChannel("sport")) == ["line"]
        assert await ids(backend, ToChannel("news")) == []
        assert (await backend.publish(send(ToChannel("sport"), str(n)))).connections == 1
        assert (await backend.publish(send(ToChannel("news")))).connections == 0
        await members[1].move(line, "news", subscribed=True)
        await members[1].move(line, "sport", subscribed=False)
    (one,) = (await backend.info(ToUser("user"))).connections
    assert one.channels == ("news",)


async def test_who_has_left_is_not_found(backend: Backend, members: list[Member]) -> None:
    await admit_all(members)
    for member in members:
        for line in tuple(member.recorder.lines):
            await member.drop(line)
    for target, _ in TARGETS:
        assert await ids(backend, target) == []
        assert (await backend.publish(send(target))).connections == 0


async def test_b68_the_last_ping_moves_when_the_client_is_heard(
    backend: Backend, members: list[Member]
) -> None:
    line = await members[0].admit(Line("line"))
    line.last_ping += 60
    members[0].membership.touched(line)

    async def is_shown() -> bool:
        (one,) = (await backend.info(ToUser("user"))).connections
        return one.last_ping == 1_700_000_060

    assert await holds_within(is_shown, 5)


async def test_nobody_is_declared_gone_meanwhile(backend: Backend, members: list[Member]) -> None:
    await admit_all(members)
    # The machine may have held up a look, which is made once a second.
    await eventually(lambda: backend.ready)
    assert [member.membership.ready for member in members] == [True, True]
    assert [member.recorder.lost for member in members] == [False, False]
