"""A worker's mailbox, as Redis brings it."""

from __future__ import annotations

from dsock.command import MessageType, Send
from dsock.target import ToUser
from dsock.wire.codec import Letter, encode, in_sequence
from tests.support.cluster import redis_cluster
from tests.support.redis_server import RedisServer


async def test_what_an_api_has_sent_before_something_that_was_carried_out_comes_too_late(
    redis: RedisServer,
) -> None:
    """A Redis that hung may carry out on waking what was answered with 503 long ago."""

    def letter(number: int, publisher: str = "api") -> bytes:
        send = Send(ToUser("user"), MessageType.TEXT, f"{number} of {publisher}".encode())
        return in_sequence(encode(Letter(send, "", number, publisher)), number)

    async with redis_cluster(redis) as cluster, cluster.client("user") as client:
        [one] = (await cluster.api.info(user="user"))["connections"]
        with redis.client() as someone:
            for payload in (letter(2), letter(1), letter(1, "other"), letter(2), letter(3)):
                assert someone.publish(one["worker"], payload) == 1
        heard = [await client.recv() for _ in range(3)]
    assert heard == ["2 of api", "1 of other", "3 of api"]
