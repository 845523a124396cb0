"""Commands and their writes, turn by turn of the event loop: with transports that count."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar
from typing import cast

import pytest

from dsock.close import Goodbye
from dsock.command import Disconnect, MessageType, Send
from dsock.events import CommandApplied, Event
from dsock.report import Outcome
from dsock.target import ToChannel, ToUser
from dsock.worker import turns
from dsock.worker.connection import Connection
from dsock.worker.frames import encode_frame
from dsock.worker.outgoing import JOIN_LIMIT, TURN_LIMIT
from dsock.worker.worker import Worker
from tests.support.eventually import next_turn
from tests.support.wire import CLOSE

HEAD = b"101"
LIMIT = 2**20


class CountingTransport:
    """Takes what is written, and notes each write. After `room` bytes it is full."""

    def __init__(self, room: int = 2**40) -> None:
        self.writes: list[bytes] = []
        self.connection: Connection | None = None
        self._room = room

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._room -= len(data)
        if self._room < 0 and self.connection:
            self.connection.pause_writing()

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Crowd:
    """A worker, and clients on transports that count."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.worker = Worker(
            self.events.append,
            send_buffer_limit=LIMIT,
            max_client_message_size=LIMIT,
            compress_from=None,
            ping_interval=60,
            ping_timeout=20,
            send_timeout=10,
        )

    def join(self, user: str, *channels: str, room: int = 2**40) -> CountingTransport:
        transport = CountingTransport(room)
        connection = Connection(self.worker, f"id-of-{user}", user, None, channels)
        transport.connection = connection
        self.worker.registry.add(connection)
        connection.opened(cast(asyncio.Transport, transport), HEAD, 0)
        transport.writes.clear()
        return transport

    def send(self, target: ToUser | ToChannel, *bodies: bytes) -> list[Outcome]:
        """Send these at once; what is known of them at once."""
        outcomes: list[Outcome] = []
        for body in bodies:
            self.worker.submit(Send(target, MessageType.TEXT, body), outcomes.append)
        return outcomes


async def all_out(transports: Sequence[CountingTransport], frames: Sequence[bytes]) -> None:
    """Wait until each has just these bytes."""
    expected = b"".join(frames)
    while any(b"".join(one.writes) != expected for one in transports):
        assert all(expected.startswith(b"".join(one.writes)) for one in transports)
        await asyncio.sleep(0)


def frames(*bodies: bytes) -> list[bytes]:
    return [encode_frame(MessageType.TEXT, body) for body in bodies]


@pytest.fixture
async def crowd() -> Crowd:
    return Crowd()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is submitted in one turn is carried out in it, however slow this machine is."""
    monkeypatch.setattr(turns, "SLICE", 60.0)


@pytest.mark.usefixtures("unhurried")
async def test_messages_of_one_turn_leave_in_one_write_a_connection(crowd: Crowd) -> None:
    members = [crowd.join(f"user{n}", "news") for n in range(100)]
    assert len(crowd.send(ToChannel("news"), b"a", b"b", b"c")) == 3
    await all_out(members, frames(b"a", b"b", b"c"))
    assert all(len(one.writes) == 1 for one in members)


@pytest.mark.usefixtures("unhurried")
async def test_messages_by_different_ways_are_joined_in_the_order_of_the_calls(
    crowd: Crowd,
) -> None:
    one = crowd.join("42", "news", "sport")
    crowd.send(ToChannel("news"), b"a")
    crowd.send(ToUser("42"), b"b")
    crowd.send(ToChannel("sport"), b"c")
    crowd.send(ToChannel("news"), b"d")
    await all_out([one], frames(b"a", b"b", b"c", b"d"))
    assert len(one.writes) == 1


async def test_a_large_message_leaves_before_more_are_taken(crowd: Crowd) -> None:
    one = crowd.join("42")
    large = b"x" * JOIN_LIMIT
    answered = crowd.send(ToUser("42"), large, b"after")
    assert len(answered) == 1
    await all_out([one], frames(large, b"after"))
    assert len(one.writes) == 2


async def test_small_messages_without_end_wait_for_no_more_than_the_limit(crowd: Crowd) -> None:
    one = crowd.join("42")
    bodies = [str(n).encode() * 1000 for n in range(1000)]
    crowd.send(ToUser("42"), *bodies)
    await all_out([one], frames(*bodies))
    longest = max(map(len, bodies))
    assert max(map(len, one.writes)) <= JOIN_LIMIT + 2 * longest


@pytest.mark.usefixtures("unhurried")
async def test_a_goodbye_comes_after_what_was_taken_before_it(crowd: Crowd) -> None:
    one = crowd.join("42")
    crowd.send(ToUser("42"), b"a", b"b")
    crowd.worker.submit(Disconnect(ToUser("42")), lambda _: None)
    crowd.send(ToUser("42"), b"too late")
    (messages, close) = one.writes
    assert messages == b"".join(frames(b"a", b"b"))
    assert close[2:4] == Goodbye.DISCONNECTED.code.to_bytes(2, "big")
    await next_turn()
    assert len(one.writes) == 2


@pytest.mark.usefixtures("unhurried")
async def test_who_is_full_refuses_the_next_message_and_takes_what_was_promised(
    crowd: Crowd,
) -> None:
    slow, quick = crowd.join("slow", "news", room=len(HEAD)), crowd.join("quick", "news")
    assert crowd.send(ToChannel("news"), b"a") == [Outcome(2, 0)]
    await all_out([slow, quick], frames(b"a"))
    assert crowd.send(ToChannel("news"), b"b") == [Outcome(1, 1)]
    await all_out([quick], frames(b"a", b"b"))


async def test_a_fan_out_lets_others_in_between_and_changes_no_order(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "SLICE", 0.0)
    members = [crowd.join(f"user{n}", "news") for n in range(1000)]
    between = 0

    async def someone_else() -> None:
        nonlocal between
        while True:
            between += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(someone_else())
    crowd.send(ToChannel("news"), b"a")
    crowd.send(ToUser("user7"), b"b")
    crowd.send(ToChannel("news"), b"c")
    others = [one for n, one in enumerate(members) if n != 7]
    await all_out(others, frames(b"a", b"c"))
    await all_out([members[7]], frames(b"a", b"b", b"c"))
    other.cancel()
    assert between > 10


@pytest.mark.parametrize("resumes", [False, True])
async def test_who_leaves_during_a_fan_out_gets_and_counts_nothing_more(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch, resumes: bool
) -> None:
    monkeypatch.setattr(turns, "SLICE", 0.0)
    members = [crowd.join(f"user{n}", "news") for n in range(200)]
    last = members[-1]
    assert last.connection
    answered = crowd.send(ToChannel("news"), b"a")
    await next_turn()  # It has begun.
    last.connection.close(Goodbye.DISCONNECTED)
    if resumes:
        last.connection.resume_writing()
    await all_out(members[:-1], frames(b"a"))
    assert answered == [Outcome(199, 0)]
    assert [one[0] & 0x0F for one in last.writes] == [CLOSE]


async def test_the_loop_is_never_held_for_much_longer_than_a_slice(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [crowd.join(f"user{n}", "news") for n in range(640)]
    now = 0.0

    def clock() -> float:
        return now

    def slow_write(_: CountingTransport, data: bytes) -> None:
        nonlocal now
        now += 0.0001

    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr(CountingTransport, "write", slow_write)
    crowd.send(ToChannel("news"), b"a")
    longest = 0.0
    while now < 0.0001 * len(members):
        before = now
        await asyncio.sleep(0)
        longest = max(longest, now - before)
    # At most one group of connections more.
    assert turns.SLICE <= longest < turns.SLICE + 0.0001 * 65


async def test_a_command_of_a_later_turn_has_nothing_of_who_began_the_turns(crowd: Crowd) -> None:
    caller, seen = ContextVar("caller", default="nobody"), asyncio.Queue[str]()
    crowd.join("42")
    caller.set("first")
    crowd.send(ToUser("42"), b"x" * JOIN_LIMIT)
    later = Send(ToUser("42"), MessageType.TEXT, b"later")
    crowd.worker.submit(later, lambda _: seen.put_nowait(caller.get()))
    assert await seen.get() == "nobody"


async def test_messages_to_nobody_stop_nobody(crowd: Crowd) -> None:
    one = crowd.join("42")
    crowd.send(ToUser("nobody"), b"x" * JOIN_LIMIT, b"x" * JOIN_LIMIT)
    crowd.send(ToUser("42"), b"a")
    await all_out([one], frames(b"a"))


async def test_a_turn_writes_only_so_many_bytes_however_quickly_they_are_taken(
    crowd: Crowd,
) -> None:
    members = [crowd.join(f"user{n}", "news") for n in range(100)]
    large = b"x" * 2**18
    crowd.send(ToChannel("news"), large)
    written, most = 0, 0
    while written < len(large) * len(members):
        await asyncio.sleep(0)
        before, written = written, sum(len(data) for one in members for data in one.writes)
        most = max(most, written - before)
    assert most < TURN_LIMIT + 2 * len(large)
    await all_out(members, frames(large))


# --- faults of ours ----------------------------------------------------------------------


@pytest.fixture
async def faults() -> AsyncIterator[list[BaseException]]:
    """What the loop was told that nobody has caught."""
    loop = asyncio.get_running_loop()
    caught: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: caught.append(context["exception"]))
    yield caught
    loop.set_exception_handler(None)


def break_next_write(transport: CountingTransport) -> None:
    write = transport.write

    def fail(data: bytes) -> None:
        transport.write = write  # type: ignore[method-assign]
        raise ZeroDivisionError

    transport.write = fail  # type: ignore[method-assign]


@pytest.mark.usefixtures("unhurried")
async def test_a_write_that_fails_stops_no_other_and_nothing_behind_it(
    crowd: Crowd, faults: list[BaseException]
) -> None:
    broken, *others = [crowd.join(f"user{n}", "news") for n in range(3)]
    break_next_write(broken)
    crowd.send(ToChannel("news"), b"a")
    async with asyncio.timeout(5):
        await all_out(others, frames(b"a"))
        assert [type(one) for one in faults] == [ZeroDivisionError]
        assert crowd.send(ToChannel("news"), b"b") == [Outcome(3, 0)]
        await all_out(others, frames(b"a", b"b"))
        await all_out([broken], frames(b"b"))


@pytest.mark.parametrize("size", [1, 200], ids=["at once", "in slices"])
async def test_a_command_that_fails_is_not_answered_and_stops_nothing_behind_it(
    crowd: Crowd, faults: list[BaseException], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(turns, "SLICE", 0.0)
    members = [crowd.join(f"user{n}", "news") for n in range(size)]
    other = crowd.join("other")
    break_next_write(members[0])
    answered: list[Outcome] = []
    crowd.worker.submit(Disconnect(ToChannel("news")), answered.append)
    assert crowd.send(ToUser("other"), b"a") == []
    async with asyncio.timeout(5):
        await all_out([other], frames(b"a"))
    assert answered == []
    assert [type(one) for one in faults] == [ZeroDivisionError]


async def test_what_comes_in_faster_than_it_can_be_sent_is_dropped_and_not_kept_without_end(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is carried out before the next turn of the loop.
    monkeypatch.setattr(turns, "SLICE", 0.0)
    monkeypatch.setattr(turns, "WAITING_LIMIT", 10 * 2**20)
    members = [crowd.join(f"user{n}", "news") for n in range(3)]
    body = bytes(2**20)
    outcomes = crowd.send(ToChannel("news"), *[body] * 100)
    assert outcomes == [Outcome(0, 3)] * 90
    # Who is to be out is out: only messages are dropped.
    closed: list[Outcome] = []
    crowd.worker.submit(Disconnect(ToUser("user0")), closed.append)
    assert closed == []
    monkeypatch.undo()
    taken = frames(body) * 10
    await all_out(members[1:], taken)
    await next_turn()
    assert closed == [Outcome(1)]
    assert outcomes[90:] == [Outcome(3, 0)] * 10
    assert sum(event.dropped for event in crowd.events if isinstance(event, CommandApplied)) == 270
    crowd.send(ToChannel("news"), b"again")
    await all_out(members[1:], [*taken, *frames(b"again")])
