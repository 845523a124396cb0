"""How Redis is reached: where, in which database, with which password, and with TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis.asyncio.connection import Connection, SSLConnection

from dsock.backends.redis.backend import RedisBackend
from dsock.backends.redis.connections import Server, connection_factory, servers
from dsock.errors import StartError
from dsock.settings import Settings
from tests.faults.support import keys
from tests.support.certificate import certificate_in
from tests.support.cluster import Caller, node_up
from tests.support.redis_server import RedisServer, free_port


class Secured(NamedTuple):
    """A Redis with one port for TLS and one without; `certificate` is the path of what it
    shows, which nobody trusts by himself."""

    server: RedisServer
    port: int
    certificate: str


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = certificate_in(folder)
    port = free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    options += ["--tls-cert-file", certificate, "--tls-key-file", key]
    with RedisServer(*options, "--tls-ca-cert-file", certificate) as server:
        yield Secured(server, port, certificate)


@pytest.fixture
def trusted(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> Secured:
    """The same, on a machine that trusts its certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", secured.certificate)
    return secured


async def stores(**options: Any) -> bool:
    """Whether a node with these options starts and finds again what it has stored."""
    async with node_up("serve", **options) as (_, address):
        caller = Caller(f"http://{address}")
        async with caller.http:
            await caller.claim("u", id="a-stored-claim")
            return len((await caller.info(user="u"))["claims"]) == 1


async def refuses(why: str = "cannot (reach|agree with) Redis", **options: Any) -> None:
    """See that Redis cannot be reached with these options, and that the node says why."""
    settings = Settings(**options, redis_timeout=2.0)
    with pytest.raises(StartError, match=why):
        async with RedisBackend.open(settings, lambda event: None, publishes=False):
            pass


# --- TLS ---------------------------------------------------------------------------------


async def test_redis_can_be_reached_with_tls(trusted: Secured) -> None:
    trusted.server.empty()
    assert await stores(redis_host=f"127.0.0.1:{trusted.port}", redis_tls=True)
    assert "claim:a-stored-claim" in keys(trusted.server)


async def test_a_url_can_ask_for_tls(trusted: Secured) -> None:
    trusted.server.empty()
    assert await stores(redis_url=f"rediss://127.0.0.1:{trusted.port}/0")
    assert "claim:a-stored-claim" in keys(trusted.server)


@pytest.mark.parametrize("tls", [True, False])
async def test_with_tls_nothing_goes_without_and_the_other_way_round(
    trusted: Secured, tls: bool
) -> None:
    port = trusted.server.port if tls else trusted.port
    await refuses(redis_host=f"127.0.0.1:{port}", redis_tls=tls)


async def test_a_certificate_that_nobody_vouches_for_is_refused(secured: Secured) -> None:
    await refuses("TLS: self.signed", redis_host=f"127.0.0.1:{secured.port}", redis_tls=True)


async def test_a_certificate_of_another_host_is_refused(trusted: Secured) -> None:
    await refuses("TLS: Hostname mismatch", redis_host=f"localhost:{trusted.port}", redis_tls=True)


# --- where and as whom -------------------------------------------------------------------


def test_by_default_it_is_a_redis_on_this_machine_without_password_and_tls() -> None:
    made = connection_factory(Settings())
    assert made.func is Connection
    said = {name: made.keywords[name] for name in ("host", "port", "db", "username", "password")}
    assert said == {
        "host": "localhost",
        "port": 6379,
        "db": 0,
        "username": None,
        "password": None,
    }


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("redis", "redis", 6379),
        ("redis:7000", "redis", 7000),
        ("10.0.0.1:7000", "10.0.0.1", 7000),
        ("[fd00::1]:7000", "fd00::1", 7000),
        ("[fd00::1]", "fd00::1", 6379),
    ],
)
def test_a_host_may_have_a_port(text: str, host: str, port: int) -> None:
    keywords = connection_factory(Settings(redis_host=text, redis_tls=True)).keywords
    assert (keywords["host"], keywords["port"]) == (host, port)
    assert connection_factory(Settings(redis_host=text, redis_tls=True)).func is SSLConnection


@pytest.mark.parametrize("text", ["redis:", "redis:x", "redis:0", "redis:65536", "redis:-1"])
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(StartError, match=r"^redis_host must be host:port"):
        connection_factory(Settings(redis_host=text))


async def test_what_is_stored_is_in_the_database_that_is_set_behind_its_password() -> None:
    with RedisServer() as server:
        with server.client() as client:
            client.config_set("requirepass", "right")
        options = {"redis_host": server.address, "redis_db": 3, "redis_password": "right"}
        assert await stores(**options)
        with server.client(password="right", db=3) as third:
            assert third.exists("claim:a-stored-claim")
        with server.client(password="right") as first:
            assert first.dbsize() == 0


async def test_a_url_can_name_a_socket_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with RedisServer("--unixsocket", str(path)) as server:
        assert await stores(redis_url=f"unix://{path}?db=3")
        with server.client(db=3) as third:
            assert third.exists("claim:a-stored-claim")


@pytest.mark.parametrize("host", ["redis://u:secret-7@db", "u:secret-7@db", "db/0"])
def test_a_url_in_place_of_a_host_is_refused_and_not_repeated(host: str) -> None:
    with pytest.raises(StartError, match="a URL is for redis_url") as refused:
        connection_factory(Settings(redis_host=host))
    assert "secret-7" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("db:6379", "must begin with"),
        ("http://db", "must begin with"),
        ("redis://:secret-7@[::1", "a host, a port or an option"),
        ("redis://:secret-7@db:port", "a host, a port or an option"),
        ("redis://:secret-7@db/0?foo=bar", "a host, a port or an option"),
        ("redis://:secret-7@db/abc", "number of a database"),
    ],
)
def test_a_url_that_is_none_is_refused_and_not_repeated(url: str, why: str) -> None:
    with pytest.raises(StartError, match=why) as refused:
        connection_factory(Settings(redis_url=url))
    assert "secret-7" not in str(refused.value)


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_options_of_a_clusters_url_are_those_of_every_server(slash: str) -> None:
    url = f"rediss://one:6379,two:6379{slash}?ssl_ca_certs=/ca.pem"
    settings = Settings(redis_url=url, redis_mode="cluster")
    assert connection_factory(settings).keywords["ssl_ca_certs"] == "/ca.pem"
    assert servers(settings) == [Server("one", 6379), Server("two", 6379)]
