"""Those who come too often: with wrong secrets, or with good ones and in crowds."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from tests.attacks import support
from tests.attacks.proxies import haproxy, nginx
from tests.attacks.support import (
    BUDGET,
    MB,
    SECONDS,
    Bystander,
    Memory,
    Victim,
    bystander,
    jwt_of,
)
from tests.support.eventually import eventually
from tests.support.wire import Wire, dial, handshake, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

ATTACKERS = 16
"""How many come again and again, side by side."""

BOUND = 4 * MB

LONGEST = 30.0
"""Seconds in which an attack has got as far as its test needs, however busy this machine is."""

MOST = 20
"""Connections that the victim may hold."""

Front = AbstractAsyncContextManager[str]

REFUSED = 'dsock_connects_refused_total{{code="{}"}}'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim() -> AsyncIterator[Victim]:
    limits = {
        "max_connect_failures": "60",
        "max_token_failures": "60",
        "max_connections": str(MOST),
        "max_connects_per_second": "50",
        # The attackers come from where the bystander is, who has the token.
        "trusted_proxies": "127.0.0.1",
    }
    async with support.victim(**limits) as victim:
        yield victim


async def come_again(address: str, data: bytes, enough: Counter[int]) -> Counter[int]:
    """Ask this again and again, each time over a new connection, until the time is over and
    each status was answered often `enough`; the statuses answered."""
    statuses: Counter[int] = Counter()
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS

    async def one() -> None:
        while loop.time() < end or not enough <= statuses:
            with suppress(ConnectionError):
                async with dial(address) as wire:
                    await wire.send(data)
                    statuses[(await wire.response()).status] += 1

    async with asyncio.timeout(LONGEST):
        await asyncio.gather(*(one() for _ in range(ATTACKERS)))
    return statuses


@pytest.mark.parametrize(
    ("guess", "first", "address"),
    [
        pytest.param(handshake("/connect?claim=a-wrong-claim"), 401, "203.0.113.1", id="claims"),
        pytest.param(handshake("/connect?jwt=a.wrong.jwt"), 401, "203.0.113.2", id="jwts"),
        pytest.param(
            request("GET", "/connect?claim=a-wrong-claim"), 401, "203.0.113.3", id="plain"
        ),
        pytest.param(request("GET", "/info?user=1&token=wrong"), 401, "203.0.113.4", id="tokens"),
    ],
)
async def test_who_tries_secrets_may_try_few_and_delays_nobody(
    victim: Victim, by: Bystander, guess: bytes, first: int, address: str
) -> None:
    memory, data = Memory(victim.pid), _from(address, guess)
    answered: list[Counter[int]] = []

    async def attack() -> None:
        enough = Counter({first: 60, 429: 1})
        answered.append(await come_again(victim.address, data, enough))

    assert await by.p99_during(attack()) < BUDGET
    [statuses] = answered
    assert statuses.keys() == {first, 429}
    # What was under way when the limit was reached is answered, too; and a minute may end.
    assert 60 <= statuses[first] < 2 * 60 + ATTACKERS
    assert memory.grown < BOUND


async def test_guesses_are_counted_in_the_metrics(victim: Victim) -> None:
    series = REFUSED.format("TOO_MANY_FAILURES")
    before = await victim.count(series)
    guess = _from("203.0.113.5", handshake("/connect?claim=a-wrong-claim"))
    statuses = await come_again(victim.address, guess, Counter({429: 1}))
    # An answer may have been lost on its way.
    assert statuses[429] <= await victim.count(series) - before <= statuses[429] + ATTACKERS


async def test_guesses_that_each_come_from_elsewhere_cost_little_memory_and_delay_nobody(
    victim: Victim, by: Bystander
) -> None:
    memory, guesses = Memory(victim.pid), 0

    async def attack() -> None:
        nonlocal guesses
        wrong = request("GET", "/info?user=1&token=wrong")
        async with dial(victim.address) as wire, asyncio.timeout(LONGEST):
            loop = asyncio.get_running_loop()
            end = loop.time() + SECONDS
            while loop.time() < end or guesses <= 100:
                guesses += 1
                address = f"10.0.{guesses >> 8}.{guesses & 255}"
                await wire.send(_from(address, wrong))
                assert (await wire.response()).status == 401

    assert await by.p99_during(attack()) < BUDGET
    assert memory.grown < BOUND


async def test_who_finds_no_room_delays_nobody_and_costs_nothing(
    victim: Victim, by: Bystander
) -> None:
    memory, series = Memory(victim.pid), REFUSED.format("TOO_MANY_CONNECTIONS")
    before = await victim.count(series)
    statuses: Counter[int] = Counter()
    async with bystander(victim, "other"):
        data = handshake(f"/connect?jwt={jwt_of('attacker')}")

        async def attack() -> None:
            async with asyncio.TaskGroup() as group:
                held = [group.create_task(stay(data)) for _ in range(MOST)]
                statuses.update(await come_again(victim.address, data, Counter({503: 100})))
                for one in held:
                    one.cancel()

        async def stay(data: bytes) -> None:
            async with dial(victim.address) as wire:
                await wire.send(data)
                await wire.response()
                await wire.end()

        assert await by.p99_during(attack()) < BUDGET
    assert statuses[503] >= 100
    assert memory.grown < BOUND
    assert await victim.count(series) > before
    await eventually(lambda: _alone(victim))
    # Somebody wanted it so: a line for each would be one more way to hurt.
    assert not any("connect refused" in line for line in victim.processes["worker"].log)


async def test_a_crowd_with_good_credentials_comes_in_at_the_rate_that_was_set(
    victim: Victim, by: Bystander
) -> None:
    data, answered = handshake(f"/connect?jwt={jwt_of('attacker')}"), []
    loop = asyncio.get_running_loop()

    async def attack() -> None:
        start = loop.time()
        statuses = await come_again(victim.address, data, Counter({101: 1, 503: 1}))
        answered.append((statuses, loop.time() - start))

    assert await by.p99_during(attack()) < BUDGET
    [(statuses, seconds)] = answered
    assert statuses.keys() == {101, 503}
    # 50 at once, and as many in a second.
    assert statuses[101] <= 50 * (1 + seconds) + ATTACKERS


@pytest.mark.parametrize("proxy", [nginx, haproxy], ids=["nginx", "haproxy"])
async def test_behind_a_proxy_who_guesses_is_known_whatever_it_says_and_others_are_heard(
    victim: Victim, proxy: Callable[[str, Path], Front], tmp_path: Path
) -> None:
    guess = handshake("/connect?claim=a-wrong-claim")
    # An address for each: the module's clients have one limit for each in a minute.
    guesser, other = ("127.0.1.1", "127.0.1.2") if proxy is nginx else ("127.0.2.1", "127.0.2.2")
    async with proxy(victim.address, tmp_path) as front:
        codes = [
            await _asked(front, guesser, _from(f"203.0.113.{number}", guess))
            for number in range(121)
        ]
        assert codes[0] == "MISSING_CLAIM"
        assert "TOO_MANY_FAILURES" in codes
        assert await _asked(front, other, guess) == "MISSING_CLAIM"


async def _asked(address: str, source: str, data: bytes) -> str:
    """The code that is answered to a client with this address."""
    host, _, port = address.rpartition(":")
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        wire = Wire(sock)
        await wire.send(data)
        return (await wire.response()).code


def _from(address: str, data: bytes) -> bytes:
    """The same request, as a proxy passes it on for this client."""
    return data.replace(b"\r\n", f"\r\nx-forwarded-for: {address}\r\n".encode(), 1)


async def _alone(victim: Victim) -> bool:
    return await victim.count("dsock_connections") == 1
