"""Which sockets the processes of a node have."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress

import pytest

from dsock.errors import StartError
from dsock.http.server import bind
from dsock.processes.ports import Ports
from dsock.settings import Settings
from tests.processes.support import free_ports

HERE = "127.0.0.1"
ENOUGH = 24


def port_of(sock: socket.socket | None) -> int:
    assert sock
    port: int = sock.getsockname()[1]
    return port


def test_each_process_has_a_socket_of_its_own_on_the_same_port() -> None:
    with Ports(Settings(host=HERE, port=0, internal_port=0), 3, direct=False) as ports:
        for sockets in ([one.public for one in ports.each], [one.internal for one in ports.each]):
            assert len(set(sockets)) == 3
            assert len({port_of(sock) for sock in sockets}) == 1
        assert [one.direct for one in ports.each] == [None, None, None]


def test_where_ports_cannot_be_shared_the_processes_share_a_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with Ports(Settings(host=HERE, port=0), 3, direct=False) as ports:
        assert len({one.public for one in ports.each}) == 1
        ports.shut(0)
        mine = ports.keep(1).public
        with socket.create_connection((HERE, port_of(mine))):
            mine.accept()[0].close()


def test_a_process_keeps_no_socket_of_another() -> None:
    with Ports(Settings(host=HERE, port=0), 2, direct=True) as ports:
        mine = ports.keep(1)
        assert mine is ports.each[1]
        assert [sock.fileno() for sock in ports.each[0].all()] == [-1, -1]
        assert all(sock.fileno() > 0 for sock in mine.all())


def accepted(sock: socket.socket) -> int:
    """How many clients waited here."""
    sock.setblocking(False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            sock.accept()[0].close()
            count += 1
    return count


def test_while_a_process_is_away_the_others_are_asked_until_it_comes_back() -> None:
    settings = Settings(host=HERE, port=0, internal_port=0)
    with Ports(settings, 2, direct=True) as ports, ExitStack() as clients:

        def connect(address: tuple[str, int]) -> None:
            clients.enter_context(socket.create_connection(address))

        before = [port_of(sock) for sock in ports.each[0].all()]
        for _ in range(2):
            ports.shut(0)
        away, here = ports.each
        assert [port_of(sock) for sock in away.all()] == before
        for _ in range(ENOUGH):
            connect((HERE, ports.public))
        assert accepted(here.public) == ENOUGH
        with pytest.raises(ConnectionRefusedError):
            connect((HERE, away.direct_port))
        away.public.listen()
        for _ in range(ENOUGH):
            connect((HERE, ports.public))
        assert 0 < accepted(away.public) < ENOUGH
        assert 0 < accepted(here.public) < ENOUGH


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_that_somebody_else_has_is_not_shared_with_them(shared: bool) -> None:
    with bind(HERE, 0, shared=shared) as other:
        for settings in (
            Settings(host=HERE, port=port_of(other)),
            Settings(host=HERE, port=0, internal_port=port_of(other)),
            Settings(host=HERE, port=0, direct_message_port=port_of(other)),
        ):
            with pytest.raises(StartError, match="in use"):
                Ports(settings, 2, direct=True)


def test_for_direct_messages_each_has_a_free_port_or_the_next_one() -> None:
    with Ports(Settings(host=HERE, port=0), 3, direct=True) as ports:
        assert len({one.direct_port for one in ports.each} | {ports.public}) == 4
    first = free_ports()
    settings = Settings(host=HERE, port=0, direct_message_port=first)
    with Ports(settings, 2, direct=True) as ports:
        assert [one.direct_port for one in ports.each] == [first, first + 1]


def test_ports_end_somewhere() -> None:
    settings = Settings(host=HERE, port=0, direct_message_port=65535)
    with pytest.raises(StartError, match="direct_message_port"):
        Ports(settings, 2, direct=True)
