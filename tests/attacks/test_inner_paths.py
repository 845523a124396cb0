"""What is for nodes and for whoever watches them, on a port that anybody can reach."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dsock.command import MessageType, Send
from dsock.target import ToUser
from dsock.wire.codec import Letter, encode, encode_letters
from tests.support.cluster import TOKEN
from tests.support.process import process
from tests.support.redis_server import RedisServer, free_port
from tests.support.wire import Response, dial, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/_/message"

ROUNDABOUT = [
    "//_/message",
    "/_//message",
    "/_/message/",
    "/_/message//",
    "/%5f/message",
    "/%5F/message",
    "/_%2fmessage",
    "%2f_/message",
    "/%2f_/message",
    "/./_/message",
    "/_/./message",
    "/x/../_/message",
    "/connect/../_/message",
    "/connect/..;/_/message",
    "/%2e/_/message",
    "/connect/%2e%2e/_/message",
    "/_/message;x",
    "/_/message;.css",
    "/_/message%00",
    "/_/message%20",
    "/_/message%0d%0a",
    "/_/message?",
    "/_/message?x#y",
    "/_/message#",
    "/_/%6dessage",
    "/%255f/message",
    "/_/MESSAGE",
    "/\\_\\message",
    "/_\\message",
    "/\uff3f/message",
    "http://dsock.test/_/message",
    "http://other.test/_/message",
    "http:///_/message",
    "/_/",
    "/_",
]

AS_IT_IS = ["/metrics", "/ready", "/%6detrics"]
"""Ways to ask for what is there on one port."""

OTHERS = [*AS_IT_IS, "//metrics", "/metrics/", "/./metrics", "/x/../metrics", "/METRICS"]


class Direct:
    """A worker that takes direct messages, and what an attacker might bring it: the letter is
    one that it would carry out."""

    def __init__(self, public: str, inner: str, worker: str) -> None:
        self.public = public
        self.inner = inner
        letter = Letter(Send(ToUser("u"), MessageType.TEXT, b"hidden"), "", 1, "attacker")
        self.body = encode_letters(worker, [(encode(letter), False)])

    async def bring(
        self, target: str, where: str, method: str = "POST", token: str = ""
    ) -> Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with dial(where) as wire:
            await wire.send(request(method, target, self.body, connection="close", **headers))
            return await wire.response()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["inner port", "one port"])
async def direct(request: pytest.FixtureRequest) -> AsyncIterator[Direct]:
    inner = str(free_port()) if request.param == "inner port" else ""
    with RedisServer() as redis:
        options = {"redis_host": redis.address, "messaging_method": "direct"}
        options |= {"direct_message_hostname": "127.0.0.1"}
        options |= {"internal_port": inner} if inner else {}
        async with process("worker", **options) as worker:
            public = await worker.listening()
            with redis.client() as client:
                [key] = client.keys("worker:*")
            id = str(key).removeprefix("worker:")
            yield Direct(public, f"127.0.0.1:{inner}" if inner else "", id)


@pytest.mark.parametrize("target", [PATH, *ROUNDABOUT])
@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], f"{TOKEN}x"])
async def test_nobody_brings_a_worker_messages_without_the_token(
    direct: Direct, target: str, token: str
) -> None:
    for method in ("POST", "GET", "PUT"):
        response = await direct.bring(target, direct.public, method, token)
        assert response.status in ((400, 404) if direct.inner else (400, 401, 404, 405))


@pytest.mark.parametrize("target", [PATH, *ROUNDABOUT])
async def test_with_an_inner_port_the_public_one_does_not_know_the_path(
    direct: Direct, target: str
) -> None:
    # Whoever has the token is told where it belongs: on one port alone.
    status = (await direct.bring(target, direct.public, token=TOKEN)).status
    assert status in ((400, 404) if direct.inner else (200, 400, 404))


async def test_the_one_who_has_the_token_is_heard_where_it_belongs(direct: Direct) -> None:
    where = direct.inner or direct.public
    assert (await direct.bring(PATH, where, token=TOKEN)).status == 200
    assert (await direct.bring(PATH, where)).status == 401


@pytest.mark.parametrize("target", OTHERS)
async def test_with_an_inner_port_the_public_one_shows_no_figures(
    direct: Direct, target: str
) -> None:
    status = (await direct.bring(target, direct.public, "GET")).status
    assert status == (200 if not direct.inner and target in AS_IT_IS else 404)
