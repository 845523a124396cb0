"""Redis with Sentinels and Redis Cluster: reached with TLS and passwords, or said why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dsock.backends.redis import sentinel
from dsock.backends.redis.backend import RedisBackend
from dsock.backends.redis.connections import Server
from dsock.backends.redis.pipe import Pipe
from dsock.backends.redis.sentinel import WatchedServer
from dsock.errors import StartError
from dsock.settings import Settings
from tests.support.certificate import certificate_in
from tests.support.cluster import Cluster, direct, redis_cluster
from tests.support.eventually import eventually
from tests.support.redis_cluster import ClusteredRedis
from tests.support.redis_server import RedisServer, Servers, free_port
from tests.support.sentinels import NAME, WatchedRedis

PASSWORD, SENTINEL_PASSWORD = "redis-password", "sentinel-password"

CALM = 10.0
"""Seconds: a master that the machine holds up is not replaced."""


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options of servers with TLS, on a machine that trusts their certificate."""
    certificate, key = certificate_in(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    files = {"cert-file": certificate, "key-file": key, "ca-cert-file": certificate}
    options = [text for name, path in files.items() for text in (f"--tls-{name}", path)]
    return [*options, "--tls-auth-clients", "no"]


async def works(cluster: Cluster) -> None:
    async with cluster.client("u", worker=1, channels="news") as client:
        assert (await cluster.api.send("hi", channel="news")).report["connections"] == 1
        assert await client.recv() == "hi"


@pytest.mark.parametrize(
    "kind", [partial(WatchedRedis, down_after=CALM), partial(ClusteredRedis, timeout=CALM)]
)
async def test_all_goes_over_tls(
    kind: Callable[..., AbstractContextManager[Servers]], tls: list[str]
) -> None:
    with kind(*tls, tls=True) as servers:
        assert servers.options["redis_tls"]
        async with redis_cluster(servers) as cluster:
            await works(cluster)


@pytest.mark.parametrize("session", ["sentinel_session", "cluster_session"])
async def test_direct_messaging_works_with_both(
    request: pytest.FixtureRequest, session: str
) -> None:
    async with redis_cluster(request.getfixturevalue(session), **direct()) as cluster:
        await works(cluster)


async def test_a_cluster_with_a_password_can_be_named_by_a_url() -> None:
    with ClusteredRedis(password=PASSWORD, timeout=CALM) as servers:
        assert servers.options["redis_url"].count(",") == 1
        async with redis_cluster(servers) as cluster:
            await works(cluster)


# --- what is said when it cannot be reached ----------------------------------------------


@pytest.fixture(scope="module")
def one() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def refused(timeout: float = 5.0, **options: Any) -> str:
    """Why a node does not start."""
    settings = Settings(**options, redis_timeout=timeout)
    with pytest.raises(StartError) as refused:
        async with RedisBackend.open(settings, lambda event: None, publishes=False):
            pass
    return str(refused.value)


async def test_one_server_is_no_cluster(one: RedisServer) -> None:
    said = await refused(redis_mode="cluster", redis_host=one.address)
    assert said == "Redis is no Cluster: leave out redis_mode=cluster"


async def test_a_node_of_a_cluster_is_not_all_of_it(cluster_session: ClusteredRedis) -> None:
    for server in cluster_session.masters()[:2]:
        said = await refused(redis_host=server.address)
        assert "is a node of a Cluster: set redis_mode=cluster" in said


async def test_a_master_that_no_sentinel_knows_is_named(sentinel_session: WatchedRedis) -> None:
    said = await refused(**{**sentinel_session.options, "redis_sentinel_master": "other"})
    assert said == "the Sentinels know no master named 'other'"


async def test_a_redis_is_no_sentinel(one: RedisServer) -> None:
    options: dict[str, Any] = {"redis_mode": "sentinel", "redis_sentinel_master": NAME}
    said = await refused(**options, redis_sentinels=(one.address,))
    assert said.startswith("what redis_sentinels names is no Sentinel")


async def test_sentinels_that_do_not_answer_are_said_to_be_out_of_reach() -> None:
    options: dict[str, Any] = {"redis_mode": "sentinel", "redis_sentinel_master": NAME}
    said = await refused(0.5, **options, redis_sentinels=(f"127.0.0.1:{free_port()}",))
    assert said.startswith(f"cannot reach Redis at {NAME}")


async def test_sentinels_with_a_password_want_theirs_and_not_that_of_redis() -> None:
    with WatchedRedis(sentinel_password=SENTINEL_PASSWORD, down_after=CALM) as servers:
        without = {**servers.options, "redis_sentinel_password": ""}
        assert "refuse redis_sentinel_password" in await refused(**without)
        async with redis_cluster(servers) as cluster:
            await works(cluster)


async def test_a_cluster_has_no_databases_in_its_url_either() -> None:
    said = await refused(redis_mode="cluster", redis_url="redis://localhost:1/2")
    assert "a Redis Cluster has no databases" in said


async def test_one_connection_that_finds_another_master_takes_all_along(
    one: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The old one lives on: nothing but what the Sentinels say would make anybody leave it.
    monkeypatch.setattr(sentinel, "EVERY", 3600.0)
    async with AsyncExitStack() as stack:
        other = stack.enter_context(RedisServer())
        named = [Server("127.0.0.1", one.port)]

        async def ask(_: sentinel.Sentinels) -> Server:
            return named[-1]

        monkeypatch.setattr(sentinel.Sentinels, "ask", ask)
        watched = WatchedServer(
            Settings(
                redis_mode="sentinel", redis_sentinels=("unasked:1",), redis_sentinel_master=NAME
            )
        )
        heard: list[str] = []
        mailbox = watched.mailbox(
            ("news",), lambda _, text: heard.append(text.decode()), lambda: None
        )
        pipes = [watched.pipe(lambda ok, why: None) for _ in range(3)]
        for pipe in pipes:
            stack.push_async_callback(pipe.close)
        stack.push_async_callback(mailbox.close)

        async def port(pipe: Pipe) -> int:
            facts: str = await pipe.call("INFO", "server")
            return int(facts.partition("tcp_port:")[2].split()[0])

        assert {await port(pipe) for pipe in pipes[:2]} == {one.port}
        await eventually(lambda: mailbox.hears)
        named.append(Server("127.0.0.1", other.port))
        # The third connects only now.
        assert [await port(pipe) for pipe in pipes[::-1]] == 3 * [other.port]
        await eventually(lambda: mailbox.hears and mailbox.round > 1)
        assert await pipes[0].publish("news", b"from there") == 1
        await eventually(lambda: heard == ["from there"])
