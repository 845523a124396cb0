"""What leaves, whatever happens in which order: clients that stop reading, go on, are told to
go or are lost while messages wait for the end of the turn."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsock.command import Disconnect, MessageType, Send
from dsock.report import Outcome
from dsock.target import ToChannel, ToUser
from dsock.worker import turns
from dsock.worker.connection import Connection
from dsock.worker.frames import encode_frame
from dsock.worker.worker import Worker
from tests.support.wire import CLOSE

HEAD = b"101"
USERS = ("ann", "bob", "eve")
NEWS = ToChannel("news")


class Transport:
    """Takes what is written until it is closing, and must not be asked again once it is
    lost: a real one raises."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        if not self.closing:
            self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True

    def close(self) -> None:
        self.closing = True

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Client:
    """A member of `news`, and what it should have been sent (`due`) until it `left`."""

    def __init__(self, worker: Worker, user: str) -> None:
        self.user = user
        self.transport = Transport()
        self.connection = Connection(worker, user, user, None, ("news",))
        self.pending = True
        self.paused = self.left = self.lost = False
        self.due = HEAD
        worker.registry.add(self.connection)

    def take(self, data: bytes) -> tuple[int, int]:
        """What a report says of it when it is sent this."""
        if self.left:
            return 0, 0
        if self.paused:
            self.left = True
            return 0, 1
        self.due += data
        return int(not self.pending), 0

    def received(self) -> tuple[bytes, bytes]:
        """What came before a goodbye, and what from it on."""
        data, end = self.transport.written, min(len(HEAD), len(self.transport.written))
        while end < len(data) and data[end] & 0x0F != CLOSE:
            end += 2 + data[end + 1]
        return data[:end], data[end:]


steps = st.one_of(
    st.tuples(
        st.sampled_from(["open", "send", "disconnect", "pause", "resume", "lose", "turn"]),
        st.sampled_from(USERS),
    ),
    st.just(("publish", "")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40))
def test_everybody_gets_what_was_counted_in_order_and_nothing_behind_a_goodbye(
    schedule: list[tuple[str, str]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # However slow this machine is: each step happens when the schedule says so.
        patch.setattr(turns, "SLICE", 60.0)
        asyncio.run(carry_out(schedule))


async def carry_out(schedule: list[tuple[str, str]]) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    worker = Worker(
        lambda _: None,
        send_buffer_limit=2**20,
        max_client_message_size=2**20,
        compress_from=None,
        ping_interval=60,
        ping_timeout=20,
        send_timeout=10,
    )
    clients = {user: Client(worker, user) for user in USERS}
    for number, (step, user) in enumerate(schedule):
        body = str(number).encode()
        frame = encode_frame(MessageType.TEXT, body)
        match step:
            case "turn":
                await asyncio.sleep(0)
            case "publish":
                taken = [client.take(frame) for client in clients.values()]
                expected = Outcome(*(sum(counts) for counts in zip(*taken, strict=True)))
                outcomes: list[Outcome] = []
                worker.submit(Send(NEWS, MessageType.TEXT, body), outcomes.append)
                assert outcomes == [expected]
            case "send":
                outcomes = []
                expected = Outcome(*clients[user].take(frame))
                worker.submit(Send(ToUser(user), MessageType.TEXT, body), outcomes.append)
                assert outcomes == [expected]
            case "disconnect":
                worker.submit(Disconnect(ToUser(user)), lambda _: None)
                clients[user].left = True
            case _:
                happen(step, clients[user])
    for _ in range(3):
        await asyncio.sleep(0)
    assert faults == []
    for client in clients.values():
        messages, goodbye = client.received()
        if client.pending:
            assert messages == b""
        elif client.lost:
            assert client.due.startswith(messages)
        else:
            assert messages == client.due
            assert bool(goodbye) is client.left
        assert not goodbye or len(goodbye) == 2 + goodbye[1]
        assert client.left is (client.user not in worker.registry)
        # A timer waits for those that were told to go.
        client.connection.connection_lost(None)


def happen(step: str, client: Client) -> None:
    """What a client, or the system under it, does."""
    connection = client.connection
    if step == "open" and client.pending and not client.left:
        client.pending = False
        connection.opened(cast(asyncio.Transport, client.transport), HEAD, 0)
    elif client.pending or client.lost:
        return
    elif step == "pause" and not client.paused:
        client.paused = True
        connection.pause_writing()
    elif step == "resume" and client.paused:
        client.paused = False
        connection.resume_writing()
    elif step == "lose":
        client.transport.abort()
        client.left = client.lost = True
        connection.connection_lost(ConnectionResetError())
        client.transport.closed = True
