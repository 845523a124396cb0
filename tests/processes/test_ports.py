"""Which sockets the processes of a node have."""

from __future__ import annotations

import socket

import pytest

from dsock.errors import StartError
from dsock.http.server import bind
from dsock.processes.ports import keep, open_sockets
from dsock.settings import Settings
from tests.support.redis_server import free_port

HERE = "127.0.0.1"


def port_of(sock: socket.socket | None) -> int:
    assert sock
    port: int = sock.getsockname()[1]
    return port


def test_each_process_has_a_socket_of_its_own_on_the_same_port() -> None:
    settings = Settings(host=HERE, port=0, internal_port=0)
    with open_sockets(settings, 3, direct=False) as each:
        for sockets in ([one.public for one in each], [one.internal for one in each]):
            assert len(set(sockets)) == 3
            assert len({port_of(sock) for sock in sockets}) == 1
        assert [one.direct for one in each] == [None, None, None]


def test_where_ports_cannot_be_shared_the_processes_share_a_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with open_sockets(Settings(host=HERE, port=0), 3, direct=False) as each:
        assert len({one.public for one in each}) == 1
        mine = keep(each, 1)
        assert port_of(mine.public)


def test_a_process_keeps_no_socket_of_another() -> None:
    with open_sockets(Settings(host=HERE, port=0), 2, direct=True) as each:
        mine = keep(each, 1)
        assert mine is each[1]
        assert [sock.fileno() for sock in each[0].all()] == [-1, -1]
        assert all(sock.fileno() > 0 for sock in mine.all())


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_that_somebody_else_has_is_not_shared_with_them(shared: bool) -> None:
    with bind(HERE, 0, shared=shared) as other:
        settings = Settings(host=HERE, port=port_of(other))
        with pytest.raises(StartError, match="in use"), open_sockets(settings, 2, direct=False):
            pass


def test_for_direct_messages_each_has_a_free_port_or_the_next_one() -> None:
    with open_sockets(Settings(host=HERE, port=0), 3, direct=True) as each:
        assert len({one.direct_port for one in each} | {port_of(each[0].public)}) == 4
    first = free_port()
    settings = Settings(host=HERE, port=0, direct_message_port=first)
    with open_sockets(settings, 2, direct=True) as each:
        assert [one.direct_port for one in each] == [first, first + 1]


def test_ports_end_somewhere() -> None:
    settings = Settings(host=HERE, port=0, direct_message_port=65535)
    with pytest.raises(StartError, match="direct_message_port"), open_sockets(settings, 2, True):
        pass
