"""What a worker takes at `/_/message`, and from whom."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from dsock.backends.redis.direct.reception import ENVELOPE, Reception
from dsock.command import Command, MessageType, Send, Subscribe
from dsock.http.app import application
from dsock.http.rules import Rules
from dsock.http.server import bind, serving
from dsock.report import Outcome
from dsock.target import ToChannel, ToUser
from dsock.wire.codec import (
    Answers,
    Letter,
    decode_answers,
    encode,
    encode_letters,
    encode_probe,
    is_channel_action,
)
from tests.support.cluster import TOKEN, Cluster, direct, memory_cluster, node_up, redis_cluster
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, free_port
from tests.support.wire import request

HELLO = Send(ToUser("user"), MessageType.TEXT, b"hello")
PATH = "/_/message"


@pytest.fixture
async def cluster(redis: RedisServer) -> AsyncIterator[Cluster]:
    async with redis_cluster(redis, max_message_size=1000, **direct()) as cluster:
        yield cluster


def worker_id(redis: RedisServer, address: str) -> str:
    """The worker that takes direct messages there."""
    with redis.client() as client:
        [key] = [key for key in client.keys("worker:*") if client.hget(key, "ip") == address]
    return str(key).removeprefix("worker:")


def enclosed(worker: str, *letters: Letter) -> bytes:
    """What an API brings."""
    return encode_letters(
        worker, [(encode(one), is_channel_action(one.command)) for one in letters]
    )


async def bring(address: str, body: bytes, token: str = TOKEN) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await http.post(f"http://{address}{PATH}", content=body, headers=headers)


def text(body: str, number: int, publisher: str = "api") -> Letter:
    command = Send(ToUser("user"), MessageType.TEXT, body.encode())
    return Letter(command, "me", number, publisher)


async def test_letters_are_carried_out_in_order_and_sends_are_answered_at_once(
    cluster: Cluster, redis: RedisServer
) -> None:
    address = cluster.workers[1]
    worker = worker_id(redis, address)
    move = Letter(Subscribe(ToUser("user"), "news"), "me", 6, "api")
    to_news = Send(ToChannel("news"), MessageType.TEXT, b"second")
    async with cluster.client("user", 1) as client:
        body = enclosed(worker, text("first", 5), move, Letter(to_news, "me", 7, "api"))
        response = await bring(address, body)
        assert response.status_code == 200
        assert [await client.recv(), await client.recv()] == ["first", "second"]
    answers = decode_answers(response.content)
    assert answers == Answers(worker, [(5, Outcome(1, 0)), (7, Outcome(1, 0))])


async def test_what_redis_has_to_confirm_is_answered_on_the_reply_channel(
    cluster: Cluster, redis: RedisServer
) -> None:
    address = cluster.workers[0]
    letter = Letter(Subscribe(ToUser("user"), "news"), "replies:me", 6, "api")
    worker = worker_id(redis, address)
    with redis.client(decode_responses=False) as client, client.pubsub() as replies:
        replies.subscribe("replies:me")
        assert replies.get_message(timeout=5)
        async with cluster.client("user", 0):
            response = await bring(address, enclosed(worker, letter))
            assert decode_answers(response.content) == Answers(worker, [])

            def answered() -> bool:
                message = replies.get_message(timeout=0.01)
                if message is None:
                    return False
                return decode_answers(message["data"]) == Answers(worker, [(6, Outcome(1, 0))])

            await eventually(answered)


async def test_who_tries_tokens_here_is_not_listened_to(redis: RedisServer) -> None:
    async with redis_cluster(redis, max_token_failures=2, **direct()) as cluster:
        address = cluster.workers[0]
        body = enclosed(worker_id(redis, address), text("guessed", 5))
        for _ in range(2):
            assert (await bring(address, body, "wrong")).status_code == 401
        refused = await bring(address, body)
        assert (refused.status_code, refused.json()["errorCode"]) == (429, "TOO_MANY_FAILURES")


async def test_an_api_that_was_taken_before_goes_on_whoever_tries_tokens_beside_it(
    redis: RedisServer,
) -> None:
    async with (
        redis_cluster(redis, max_token_failures=2, **direct()) as cluster,
        cluster.client("user", 0) as client,
    ):
        await cluster.api.send("before", user="user")
        for _ in range(3):
            last = await bring(cluster.workers[0], b"", "wrong")
        assert last.status_code == 429
        report = (await cluster.api.send("after", user="user")).report
        assert (report["connections"], report["unanswered"]) == (1, 0)
        assert [await client.recv() for _ in range(2)] == ["before", "after"]


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x"])
@pytest.mark.parametrize("command", [HELLO, Subscribe(ToUser("user"), "news")])
async def test_b31_without_the_token_nothing_is_delivered(
    cluster: Cluster, redis: RedisServer, command: Command, token: str
) -> None:
    address = cluster.workers[0]
    body = enclosed(worker_id(redis, address), Letter(command, "me", 5, "api"))
    async with cluster.client("user", 0) as client:
        response = await bring(address, body, token)
        assert response.json()["errorCode"] == "INVALID_AUTHORIZATION"
        assert response.status_code == 401
        await cluster.api.send("this is first", user="user")
        assert await client.recv() == "this is first"
        [shown] = (await cluster.api.info(user="user"))["connections"]
        assert shown["channels"] == []


async def test_b31_with_another_method_the_path_does_not_exist() -> None:
    async with memory_cluster() as node:
        assert (await bring(node.workers[0], b"")).status_code == 404


async def test_b31_with_an_internal_port_it_is_there_only(redis: RedisServer) -> None:
    internal = free_port()
    settings = {"redis_host": redis.address, "internal_port": internal, **direct()}
    async with node_up("worker", **settings) as (_, address):
        inside = f"127.0.0.1:{internal}"
        body = enclosed(worker_id(redis, inside), Letter(HELLO))
        assert (await bring(address, body)).status_code == 404
        assert (await bring(inside, body)).status_code == 200


async def unreadable(address: str) -> float:
    async with httpx.AsyncClient() as http:
        metrics = (await http.get(f"http://{address}/metrics")).text
    name = "dsock_unreadable_payloads_total "
    [line] = [line for line in metrics.splitlines() if line.startswith(name)]
    return float(line.split()[1])


@pytest.mark.parametrize("body", [b"", b"\x00\xff", encode(Letter(HELLO)), encode_probe("probe")])
async def test_b30_what_holds_no_command_is_refused_and_counted(
    cluster: Cluster, body: bytes
) -> None:
    address = cluster.workers[0]
    response = await bring(address, body)
    assert (response.status_code, response.json()["errorCode"]) == (400, "INVALID_REQUEST")
    assert await unreadable(address) == 1


async def test_b30_a_letter_that_cannot_be_read_is_counted_and_the_others_are_carried_out(
    cluster: Cluster, redis: RedisServer
) -> None:
    address = cluster.workers[0]
    good, bad = (encode(text("hello", 5)), False), (b"\x08\x01", False)
    async with cluster.client("user", 0) as client:
        body = encode_letters(worker_id(redis, address), [bad, good, bad])
        assert (await bring(address, body)).status_code == 200
        assert await client.recv() == "hello"
    assert await unreadable(address) == 2


async def test_b32_a_body_larger_than_all_that_may_come_is_not_read(cluster: Cluster) -> None:
    response = await bring(cluster.workers[0], b"x" * (ENVELOPE + 1001))
    assert (response.status_code, response.json()["errorCode"]) == (413, "MESSAGE_TOO_LARGE")


async def test_a_letter_for_another_worker_is_not_taken(cluster: Cluster) -> None:
    body = enclosed("the worker that was here before", text("hello", 5))
    async with cluster.client("user", 0):
        response = await bring(cluster.workers[0], body)
    assert (response.status_code, response.json()["errorCode"]) == (404, "NOT_FOUND")


async def test_letters_that_were_overtaken_are_not_carried_out_and_named(
    cluster: Cluster, redis: RedisServer
) -> None:
    address = cluster.workers[0]
    worker = worker_id(redis, address)
    async with cluster.client("user", 0) as client:
        said = [
            decode_answers((await bring(address, enclosed(worker, *letters))).content)
            for letters in (
                [text("one 7", 7, "one")],
                [text("late", 7, "one"), text("late", 6, "one"), text("two 6", 6, "two")],
                [text("one 8", 8, "one")],
            )
        ]
        late = [answers.late for answers in said if isinstance(answers, Answers)]
        assert late == [(), (7, 6), ()]
        assert [await client.recv() for _ in range(3)] == ["one 7", "two 6", "one 8"]


async def test_what_redis_does_not_confirm_is_answered_nowhere(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with cluster.client("user", 0):
        with redis.client() as client:
            client.config_set("maxmemory", "1")
            client.config_set("maxmemory-policy", "noeviction")
            try:
                reply = await cluster.api.call(
                    "POST", "/channel/subscribe/news", user="user", ignoreClaims="true"
                )
            finally:
                client.config_set("maxmemory", "0")
    assert (reply.status, reply.code) == (504, "WORKER_UNANSWERED")


@pytest.fixture
async def slow_reception() -> AsyncIterator[tuple[str, list[Callable[[Outcome], None]]]]:
    """A reception whose worker carries commands out when the test says so."""
    answers: list[Callable[[Outcome], None]] = []

    class Box:
        worker_id = "worker"

        def take(self, letter: Letter, answer: Callable[[Outcome], None]) -> bool:
            answers.append(answer)
            return True

    sock = bind("127.0.0.1", 0)
    reception = Reception(None, 1000, lambda _: None)
    reception.postboxes.add(Box())  # type: ignore[arg-type]
    async with serving(application(reception.routes(), lambda _: None), sock, Rules()):
        yield f"127.0.0.1:{sock.getsockname()[1]}", answers


async def test_an_outcome_after_the_api_has_hung_up_is_no_error(
    slow_reception: tuple[str, list[Callable[[Outcome], None]]],
) -> None:
    address, answers = slow_reception
    async with httpx.AsyncClient() as http:
        asked = asyncio.create_task(
            http.post(f"http://{address}{PATH}", content=enclosed("worker", text("x", 1)))
        )
        await eventually(lambda: len(answers) == 1)
        asked.cancel()
        await asyncio.wait((asked,))
    answers[0](Outcome(1, 0))
    answers[0](Outcome(1, 0))


async def test_letters_whose_bringer_has_hung_up_are_not_carried_out(
    slow_reception: tuple[str, list[Callable[[Outcome], None]]],
) -> None:
    address, answers = slow_reception
    body = enclosed("worker", text("x", 1))
    with socket.create_connection(address.split(":")) as sock:  # type: ignore[arg-type]
        # In one turn of the loop, as after a standstill.
        sock.sendall(request("POST", PATH, body))
    async with httpx.AsyncClient() as http:
        later = asyncio.create_task(
            http.post(f"http://{address}{PATH}", content=enclosed("worker", text("y", 2)))
        )
        await eventually(lambda: len(answers) > 0)
        for answer in answers:
            answer(Outcome(1, 0))
        response = await later
    answered = decode_answers(response.content)
    assert answered == Answers("worker", [(2, Outcome(1, 0))])
    assert len(answers) == 1
