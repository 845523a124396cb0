"""Letters on their way to workers that answer late, wrongly or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dsock.backends.redis.carrier import Silent
from dsock.backends.redis.direct.couriers import Couriers
from dsock.backends.redis.direct.reception import ENVELOPE
from dsock.command import MessageType, Send
from dsock.http.app import application
from dsock.http.rules import Rules
from dsock.http.server import bind, serving
from dsock.report import Outcome
from dsock.target import ToUser
from dsock.wire.codec import Answers, Letter, decode_letters, encode_answers
from tests.support.redis_server import free_port

WORKER = "worker"
SHORT = 0.5
"""Seconds after which a silent worker is given up, where one is."""


Numbers = list[int]


class Place:
    """A worker as couriers see it: `respond` says what it does with the letters of a request,
    which it knows by their numbers."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[Numbers] = []
        self.tokens: list[str] = []
        self.respond: Callable[[Numbers], Any] = self.confirm
        self.asked = asyncio.Event()

    @property
    def taken(self) -> Numbers:
        """All letters, in order."""
        return [number for numbers in self.requests for number in numbers]

    async def take(self, request: Request) -> Response:
        worker, letters = decode_letters(await request.body())
        assert worker == WORKER
        numbers = [letter.number for letter in letters if letter]
        self.requests.append(numbers)
        self.tokens.append(request.headers.get("authorization", ""))
        self.asked.set()
        response = self.respond(numbers)
        result: Response = await response if asyncio.iscoroutine(response) else response
        return result

    def confirm(self, numbers: Numbers) -> Response:
        return Response(
            encode_answers(Answers(WORKER, [(number, Outcome(1, 0)) for number in numbers]))
        )

    async def never(self, _: Numbers) -> Response:
        await asyncio.Event().wait()
        return Response()


class Office:
    """What a directory and mailboxes know of one worker."""

    def __init__(self, address: str | None) -> None:
        self.address_ = address
        self.forgotten = 0
        self.posted: list[Letter] = []

    async def address(self, _: str) -> str | None:
        return self.address_

    def forget(self, _: str) -> None:
        self.forgotten += 1

    def carry(self, workers: tuple[str, ...], letter: Letter) -> list[asyncio.Future[int]]:
        assert workers == (WORKER,)
        self.posted.append(letter)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(1)
        return [future]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    sock = bind("127.0.0.1", 0)
    place = Place(f"127.0.0.1:{sock.getsockname()[1]}")
    app = application([Route("/_/message", place.take, methods=["POST"])], lambda _: None)
    async with serving(app, sock, Rules()):
        yield place


class Sending:
    """Couriers, and what they were answered."""

    def __init__(self, office: Office, timeout: float) -> None:
        self.answers: dict[int, Outcome] = {}
        self.office = office
        self.couriers = Couriers(
            self._answered,
            directory=office,  # type: ignore[arg-type]
            mailboxes=office,  # type: ignore[arg-type]
            token="token",
            timeout=timeout,
        )
        self._numbers = 0

    def bring(self, body: bytes = b"hello", wait: bool = True) -> asyncio.Future[int]:
        self._numbers += 1
        command = Send(ToUser("u"), MessageType.BINARY, body)
        letter = Letter(command, "me" if wait else "", self._numbers, "api")
        [taken] = self.couriers.carry([WORKER], letter)
        return taken

    def _answered(self, worker: str, number: int, outcome: Outcome) -> None:
        assert worker == WORKER
        self.answers[number] = outcome


@asynccontextmanager
async def sending_to(address: str | None, timeout: float = 10) -> AsyncIterator[Sending]:
    sending = Sending(Office(address), timeout)
    try:
        yield sending
    finally:
        await sending.couriers.close()


@pytest.fixture
async def sending(place: Place) -> AsyncIterator[Sending]:
    async with sending_to(place.address) as sending:
        yield sending


@pytest.fixture
async def impatient(place: Place) -> AsyncIterator[Sending]:
    async with sending_to(place.address, SHORT) as sending:
        yield sending


async def test_a_letter_is_taken_and_answered(place: Place, sending: Sending) -> None:
    assert await sending.bring() == 1
    assert sending.answers == {1: Outcome(1, 0)}
    assert place.tokens == ["Bearer token"]


async def test_letters_are_taken_in_the_order_of_the_calls_those_that_wait_together(
    place: Place, sending: Sending
) -> None:
    go_on = asyncio.Event()

    async def held(numbers: Numbers) -> Response:
        await go_on.wait()
        return place.confirm(numbers)

    place.respond = held
    first = sending.bring()
    await place.asked.wait()
    others = [sending.bring() for _ in range(20)]
    go_on.set()
    assert await asyncio.gather(first, *others) == [1] * 21
    assert place.requests == [[1], list(range(2, 22))]
    assert len(sending.answers) == 21


async def test_what_waits_is_as_much_as_a_worker_takes_at_once(
    place: Place, sending: Sending
) -> None:
    waiting = [sending.bring(b"x" * 2**17) for _ in range(20)]
    assert await asyncio.gather(*waiting) == [1] * 20
    assert place.taken == list(range(1, 21))
    assert len(place.requests) > 1
    assert max(map(len, place.requests)) * 2**17 <= ENVELOPE


async def test_a_command_that_is_answered_elsewhere_is_only_taken(
    place: Place, sending: Sending
) -> None:
    place.respond = lambda _: Response(encode_answers(Answers(WORKER, [])))
    assert await sending.bring() == 1
    assert sending.answers == {}


async def test_a_letter_that_came_too_late_counts_as_not_taken(
    place: Place, sending: Sending
) -> None:
    place.respond = lambda _: Response(
        encode_answers(Answers(WORKER, [(1, Outcome(1, 0))], late=[2]))
    )
    first, second = sending.bring(), sending.bring()
    assert await first == 1
    with pytest.raises(Silent):
        await second


async def test_b70_b72_a_worker_that_is_silent_is_given_up_in_time(
    place: Place, impatient: Sending
) -> None:
    place.respond = place.never
    began = asyncio.get_running_loop().time()
    taken = await asyncio.gather(*(impatient.bring() for _ in range(20)), return_exceptions=True)
    # Not one after the other.
    assert asyncio.get_running_loop().time() - began < SHORT + 5
    assert all(isinstance(one, Silent) for one in taken)
    place.respond = place.confirm
    assert await impatient.bring() == 1
    assert impatient.answers == {21: Outcome(1, 0)}


async def test_what_nobody_waits_for_any_more_does_not_leave(
    place: Place, impatient: Sending
) -> None:
    place.respond = place.never
    first = impatient.bring()
    await place.asked.wait()
    second = impatient.bring()
    second.cancel()
    with pytest.raises(Silent):
        await first
    place.respond = place.confirm
    assert await impatient.bring() == 1
    assert place.taken == [1, 3]


async def test_where_nobody_listens_nobody_is_there_and_the_address_is_asked_for_again() -> None:
    async with sending_to(f"127.0.0.1:{free_port()}") as sending:
        assert await sending.bring() == 0
        assert sending.office.forgotten == 1


async def test_a_place_at_which_another_worker_is_has_nobody(
    place: Place, sending: Sending
) -> None:
    place.respond = lambda _: Response(status_code=404)
    assert await sending.bring() == 0
    assert sending.office.forgotten == 1


@pytest.mark.parametrize("status", [401, 409, 413, 500, 503])
async def test_what_a_worker_refuses_is_not_taken(
    place: Place, sending: Sending, status: int
) -> None:
    place.respond = lambda _: Response(status_code=status)
    with pytest.raises(Silent):
        await sending.bring()


async def test_b73_no_redirect_is_followed(place: Place, sending: Sending) -> None:
    place.respond = lambda _: RedirectResponse("/_/message", status_code=307)
    with pytest.raises(Silent):
        await sending.bring()
    assert len(place.taken) == 1


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254:80", "[fe80::1]:80", "2852039166:80", "http://x:80", "a..b:80", "x"],
)
async def test_b73_nothing_is_sent_where_no_worker_can_be(address: str) -> None:
    async with sending_to(address) as sending:
        assert await sending.bring() == 0


async def test_b73_no_name_leads_where_no_worker_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object) -> list[dict[str, Any]]:
        return [{"hostname": "x", "host": "169.254.169.254", "port": 80, "family": 2}]

    monkeypatch.setattr("aiohttp.resolver.ThreadedResolver.resolve", resolve)
    async with sending_to("metadata.internal:80") as sending:
        assert await sending.bring() == 0


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xff", b"x" * 2**17, encode_answers(Answers("another", []))]
)
async def test_an_answer_that_is_no_workers_confirms_nothing(
    place: Place, sending: Sending, body: bytes
) -> None:
    place.respond = lambda _: Response(body)
    with pytest.raises(Silent):
        await sending.bring()


async def test_a_letter_without_return_address_is_not_waited_for(
    place: Place, sending: Sending
) -> None:
    place.respond = place.never
    assert await sending.bring(wait=False) == 1
    await place.asked.wait()
    assert place.taken == [1]


async def test_a_place_without_the_path_is_told_of_once(place: Place, sending: Sending) -> None:
    place.respond = lambda _: Response(status_code=404)
    with structlog.testing.capture_logs() as said:
        for _ in range(3):
            assert await sending.bring() == 0
    assert [line["event"] for line in said] == ["cannot bring direct messages"]


async def test_a_worker_without_an_address_gets_its_letters_in_its_mailbox() -> None:
    async with sending_to(None) as sending:
        assert await sending.bring() == 1
        [letter] = sending.office.posted
        assert (letter.number, letter.publisher) == (1, "api")


async def test_a_large_letter_arrives_whole(place: Place, sending: Sending) -> None:
    assert await sending.bring(b"x" * 2**22) == 1


async def test_b72_letters_share_one_connection(place: Place, sending: Sending) -> None:
    connector = sending.couriers._session.connector
    assert connector
    for number in range(1, 200):
        assert await sending.bring() == 1
        assert number in sending.answers
    assert sum(map(len, connector._conns.values())) == 1
    assert not connector._acquired


async def test_letters_that_wait_at_the_end_or_come_after_it_are_not_taken(place: Place) -> None:
    async with sending_to(place.address) as sending:
        place.respond = place.never
        waiting = [sending.bring(), sending.bring()]
    for taken in (*waiting, sending.bring()):
        with pytest.raises(Silent):
            await taken
