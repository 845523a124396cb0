"""What a worker takes at `/_/message`, and from whom."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from dsock.command import Command, MessageType, Send, Subscribe
from dsock.report import Outcome
from dsock.target import ToUser
from dsock.wire.codec import Answers, Letter, decode_answers, encode, encode_probe
from tests.support.cluster import TOKEN, Cluster, direct, memory_cluster, node_up, redis_cluster
from tests.support.redis_server import RedisServer, free_port

HELLO = Send(ToUser("user"), MessageType.TEXT, b"hello")
PATHS = ["/_/message", "/_/message/channel"]


@pytest.fixture
async def cluster(redis: RedisServer) -> AsyncIterator[Cluster]:
    async with redis_cluster(redis, max_message_size=1000, **direct()) as cluster:
        yield cluster


def worker_id(redis: RedisServer, address: str) -> str:
    """The worker that takes direct messages there."""
    with redis.client() as client:
        [key] = [key for key in client.keys("worker:*") if client.hget(key, "ip") == address]
    return str(key).removeprefix("worker:")


async def bring(
    address: str, payload: bytes, path: str = PATHS[0], token: str = TOKEN
) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await http.post(f"http://{address}{path}", content=payload, headers=headers)


async def test_a_letter_is_carried_out_and_answered(cluster: Cluster, redis: RedisServer) -> None:
    address = cluster.workers[1]
    letter = Letter(HELLO, "me", 5, "api", worker_id(redis, address))
    async with cluster.client("user", 1) as client:
        response = await bring(address, encode(letter))
        assert (response.status_code, await client.recv()) == (200, "hello")
    assert decode_answers(response.content) == Answers(letter.worker, [(5, Outcome(1, 0))])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x"])
async def test_b31_without_the_token_nothing_is_delivered(
    cluster: Cluster, redis: RedisServer, path: str, token: str
) -> None:
    address = cluster.workers[0]
    command: Command = HELLO if path == PATHS[0] else Subscribe(ToUser("user"), "news")
    letter = Letter(command, "me", 5, "api", worker_id(redis, address))
    async with cluster.client("user", 0) as client:
        response = await bring(address, encode(letter), path, token)
        assert response.json()["errorCode"] == "INVALID_AUTHORIZATION"
        assert response.status_code == 401
        await cluster.api.send("this is first", user="user")
        assert await client.recv() == "this is first"
        [shown] = (await cluster.api.info(user="user"))["connections"]
        assert shown["channels"] == []


@pytest.mark.parametrize("path", PATHS)
async def test_b31_with_another_method_the_paths_do_not_exist(path: str) -> None:
    async with memory_cluster() as node:
        assert (await bring(node.workers[0], b"", path)).status_code == 404


async def test_b31_with_an_internal_port_they_are_there_only(redis: RedisServer) -> None:
    internal = free_port()
    settings = {"redis_host": redis.address, "internal_port": internal, **direct()}
    async with node_up("worker", **settings) as (_, address):
        inside = f"127.0.0.1:{internal}"
        letter = Letter(HELLO, "me", 5, "api", worker_id(redis, inside))
        assert (await bring(address, encode(letter))).status_code == 404
        assert (await bring(inside, encode(letter))).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("payload", [b"", b"\x00\xff", b"\x08\x01", encode_probe("probe")])
async def test_b30_what_is_no_command_is_refused_and_counted(
    cluster: Cluster, path: str, payload: bytes
) -> None:
    address = cluster.workers[0]
    response = await bring(address, payload, path)
    assert (response.status_code, response.json()["errorCode"]) == (400, "INVALID_REQUEST")
    async with httpx.AsyncClient() as http:
        metrics = (await http.get(f"http://{address}/metrics")).text
    assert "dsock_unreadable_payloads_total 1.0" in metrics


async def test_b32_a_letter_larger_than_a_message_may_be_is_not_read(cluster: Cluster) -> None:
    response = await bring(cluster.workers[0], b"x" * 10_000)
    assert (response.status_code, response.json()["errorCode"]) == (413, "MESSAGE_TOO_LARGE")


async def test_a_letter_for_another_worker_is_not_taken(cluster: Cluster) -> None:
    letter = Letter(HELLO, "me", 5, "api", "the worker that was here before")
    async with cluster.client("user", 0):
        response = await bring(cluster.workers[0], encode(letter))
    assert (response.status_code, response.json()["errorCode"]) == (404, "NOT_FOUND")


async def test_a_letter_that_was_overtaken_is_not_carried_out(
    cluster: Cluster, redis: RedisServer
) -> None:
    address = cluster.workers[0]
    id = worker_id(redis, address)
    async with cluster.client("user", 0) as client:
        for number, publisher, status in [
            (7, "one", 200),
            (7, "one", 409),
            (6, "one", 409),
            (6, "two", 200),
            (8, "one", 200),
        ]:
            text = f"{publisher} {number} {status}".encode()
            command = Send(ToUser("user"), MessageType.TEXT, text)
            response = await bring(address, encode(Letter(command, "me", number, publisher, id)))
            assert response.status_code == status
        taken = [await client.recv() for _ in range(3)]
    assert taken == ["one 7 200", "two 6 200", "one 8 200"]


async def test_what_redis_does_not_confirm_is_answered_without_an_outcome(
    cluster: Cluster, redis: RedisServer
) -> None:
    address = cluster.workers[0]
    command = Subscribe(ToUser("user"), "news")
    letter = Letter(command, "me", 5, "api", worker_id(redis, address))
    async with cluster.client("user", 0):
        with redis.client() as client:
            client.config_set("maxmemory", "1")
            client.config_set("maxmemory-policy", "noeviction")
            try:
                response = await bring(address, encode(letter), PATHS[1])
            finally:
                client.config_set("maxmemory", "0")
    assert response.status_code == 200
    assert decode_answers(response.content) == Answers(letter.worker, [])
