"""What a node is, from its settings."""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest

from dsock.errors import StartError
from dsock.node import plan
from dsock.settings import Settings
from tests.support.cluster import redis_cluster
from tests.support.redis_server import RedisServer

TOKEN = ("a-token",)


def test_a_node_that_nobody_told_of_a_redis_needs_none() -> None:
    assert plan("serve", Settings(token=TOKEN)).backend == "memory"


@pytest.mark.parametrize(
    "options",
    [
        {"redis_host": "localhost:6379"},
        {"redis_url": "redis://localhost"},
        {"redis_mode": "cluster"},
        {"redis_username": "u"},
        {"redis_password": "p"},
        {"redis_db": 3},
        {"redis_tls": True},
        {"redis_key_prefix": "p:"},
        {"redis_sentinel_master": "m"},
        {"backend": "redis"},
    ],
    ids=str,
)
def test_whatever_names_a_redis_means_that_it_is_used(options: dict[str, Any]) -> None:
    assert plan("serve", Settings(token=TOKEN, **options)).backend == "redis"


def test_a_redis_that_would_not_be_used_may_not_be_named() -> None:
    with pytest.raises(StartError, match="uses no Redis"):
        plan("serve", Settings(token=TOKEN, backend="memory", redis_db=3))


@pytest.mark.parametrize("role", ["api", "worker"])
def test_half_a_node_cannot_live_on_memory(role: Any) -> None:
    with pytest.raises(StartError, match="one process"):
        plan(role, Settings(token=TOKEN, backend="memory"))


def test_b45_an_api_without_a_token_does_not_start_and_serve_makes_one() -> None:
    with pytest.raises(StartError, match="DSOCK_TOKEN"):
        plan("api", Settings())
    one, two = plan("serve", Settings()), plan("serve", Settings())
    assert one.made_token
    assert len(one.settings.token[0]) >= 32
    assert one.settings.token != two.settings.token


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"redis_mode": "sentinel"}, "needs redis_sentinels: host:port"),
        ({"redis_mode": "sentinel", "redis_host": "db"}, "needs redis_sentinels, and nothing else"),
        ({"redis_mode": "sentinel", "redis_sentinels": ("s:1",)}, "needs redis_sentinel_master"),
        ({"redis_sentinels": ("s:1",)}, "set redis_mode=sentinel too"),
        ({"redis_mode": "cluster", "redis_sentinels": ("s:1",)}, "set redis_mode=sentinel too"),
        ({"redis_mode": "cluster", "redis_db": 1}, "leave out redis_db"),
        ({"redis_host": "one:1,two:2"}, "set redis_mode=cluster"),
    ],
)
def test_options_for_redis_that_do_not_go_together_are_refused_with_advice(
    options: dict[str, Any], advice: str
) -> None:
    with pytest.raises(StartError, match=advice):
        plan("serve", Settings(token=TOKEN, **options))


def test_direct_messaging_means_redis() -> None:
    direct = Settings(token=TOKEN, messaging_method="direct")
    assert plan("serve", direct).backend == "redis"
    with pytest.raises(StartError, match="direct needs the redis backend"):
        plan("serve", Settings(token=TOKEN, messaging_method="direct", backend="memory"))


@pytest.mark.parametrize("role", ["serve", "api", "worker"])
def test_with_direct_messaging_every_node_needs_the_same_token(role: Any) -> None:
    with pytest.raises(StartError, match="DSOCK_TOKEN"):
        plan(role, Settings(messaging_method="direct"))
    plan(role, Settings(messaging_method="direct", insecure_no_token=True))
    plan(role, Settings(messaging_method="direct", token=TOKEN))


def test_a_worker_without_direct_messaging_needs_no_token() -> None:
    assert not plan("worker", Settings()).made_token


def test_several_processes_need_something_between_them() -> None:
    with pytest.raises(StartError, match="set redis_host, or leave out processes"):
        plan("serve", Settings(token=TOKEN, processes=2))
    assert plan("serve", Settings(token=TOKEN, processes=2, redis_host="r")).processes == 2
    assert plan("serve", Settings(token=TOKEN)).processes == 1


@pytest.mark.parametrize("cores", [1, 6])
def test_auto_is_a_process_for_each_core_that_may_be_used(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert plan("worker", Settings(processes="auto")).processes == cores


async def test_each_half_says_that_it_is_up_and_does_not_do_the_work_of_the_other(
    redis: RedisServer,
) -> None:
    async with redis_cluster(redis) as cluster, httpx.AsyncClient() as anyone:
        api, worker = cluster.api.url, f"http://{cluster.workers[0]}"
        for half in (api, worker):
            pong = await anyone.get(f"{half}/ping")
            assert (pong.status_code, pong.text) == (200, "pong")
        assert (await anyone.get(f"{api}/connect")).status_code == 404
        assert (await anyone.post(f"{worker}/claim?user=u")).status_code == 404
