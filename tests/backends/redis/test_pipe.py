"""One ordered connection: what is asked, in which order, how often, and for whom."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from dsock.backends.redis import pipe as module
from dsock.backends.redis.pipe import Pipe
from dsock.errors import Unavailable
from tests.backends.redis.conftest import NewPipe, connect_to
from tests.faults.proxy import Faults, Proxy
from tests.support.eventually import eventually, holds_within
from tests.support.redis_server import RedisServer, free_port

SCRIPT = "return redis.call('INCR', KEYS[1])"


async def test_calls_happen_in_the_order_in_which_they_were_asked_for(
    redis: RedisServer, new_pipe: NewPipe
) -> None:
    pipe = new_pipe(redis.address)
    numbers, asked = itertools.count(), []

    async def ask() -> None:
        for _ in range(10):
            number = str(next(numbers))
            asked.append(number)
            await pipe.call("RPUSH", "list", number)

    await asyncio.gather(*(ask() for _ in range(2 * module.MAX_BATCH // 10)))
    assert await pipe.call("LRANGE", "list", 0, -1) == asked


async def test_calls_that_are_tried_again_stay_before_those_that_came_later(
    own_redis: RedisServer, new_pipe: NewPipe
) -> None:
    pipe = new_pipe(own_redis.address, timeout=10)
    await pipe.call("PING")
    own_redis.kill()
    first = [pipe.call("RPUSH", "list", number) for number in range(3)]
    await eventually(lambda: not pipe.reached)
    later = [pipe.call("RPUSH", "list", number) for number in range(3, 6)]
    own_redis.start()
    await asyncio.gather(*first, *later)
    assert await pipe.call("LRANGE", "list", 0, -1) == list("012345")


@pytest.mark.parametrize(("once", "happened"), [(True, "1"), (False, "2")])
async def test_a_command_that_may_not_happen_twice_is_not_sent_twice(
    own_redis: RedisServer, proxy: Proxy, new_pipe: NewPipe, once: bool, happened: str
) -> None:
    pipe = new_pipe(proxy.address)
    await pipe.call("PING")
    proxy.hush()
    asked = pipe.call("INCR", "count", once=once)
    with own_redis.client() as client:
        await eventually(lambda: bool(client.get("count")))
        proxy.cut()
        if once:
            with pytest.raises(Unavailable):
                await asked
        else:
            await asked
        assert client.get("count") == happened


async def test_a_connection_that_was_reset_while_nobody_asked_fails_no_call(
    own_redis: RedisServer, proxy: Proxy, new_pipe: NewPipe
) -> None:
    pipe = new_pipe(proxy.address)
    await pipe.call("PING")
    proxy.reset()
    transport = pipe._transport
    assert transport
    await eventually(transport.is_closing)
    # Nothing was sent yet: not even what may not happen twice has to fail.
    assert await pipe.call("INCR", "count", once=True) == 1


async def test_what_comes_after_a_command_that_failed_is_not_done(
    own_redis: RedisServer, proxy: Proxy, new_pipe: NewPipe
) -> None:
    pipe = new_pipe(proxy.address, timeout=1.0)
    await pipe.call("PING")
    proxy.set(there=Faults(lost=True))
    first = pipe.call("SET", "first", 1)
    # There is still time for the others when the first is given up.
    pipe._timeout = 10
    second, other = pipe.call("SET", "second", 1, after=(first,)), pipe.call("SET", "other", 1)
    with pytest.raises(Unavailable):
        await first
    proxy.heal()
    await other
    with pytest.raises(Unavailable):
        await second
    assert own_redis.keys() == {"other"}


async def test_a_command_that_was_never_sent_is_sent_even_if_it_may_not_happen_twice(
    own_redis: RedisServer, new_pipe: NewPipe
) -> None:
    own_redis.kill()
    pipe = new_pipe(own_redis.address, timeout=10)
    asked = pipe.call("INCR", "count", once=True)
    own_redis.start()
    assert await asked == 1


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_who_cannot_connect_is_tried_again_as_often_as_is_set(retries: int) -> None:
    connect, tries = connect_to(f"127.0.0.1:{free_port()}"), []

    async def counting() -> AbstractConnection:
        tries.append(1)
        return await connect()

    pipe = Pipe(counting, timeout=10, max_retries=retries, changed=lambda reached, why: None)
    with pytest.raises(Unavailable):
        await pipe.call("PING")
    assert len(tries) == 1 + retries
    await pipe.close()


async def test_why_it_cannot_connect_is_told_though_the_last_try_had_no_time_left() -> None:
    refusal, tried = ConnectionRefusedError("not here"), asyncio.Event()

    async def refused_and_then_silent() -> AbstractConnection:
        if not tried.is_set():
            tried.set()
            raise refusal
        never: asyncio.Future[AbstractConnection] = asyncio.get_running_loop().create_future()
        return await never

    pipe = Pipe(refused_and_then_silent, timeout=0.3, max_retries=9, changed=lambda *_: None)
    with pytest.raises(Unavailable) as told:
        await pipe.call("PING")
    assert told.value.__cause__ is refusal
    await pipe.close()


async def test_a_frozen_redis_that_wakes_does_a_command_once_at_most(
    own_redis: RedisServer, new_pipe: NewPipe
) -> None:
    pipe = new_pipe(own_redis.address)
    await pipe.call("PING")
    own_redis.freeze()
    calls = [pipe.call("RPUSH", "list", number, once=True) for number in range(20)]
    await asyncio.wait(calls)
    own_redis.thaw()
    await eventually(lambda: answers(pipe))
    done = await pipe.call("LRANGE", "list", 0, -1)
    assert len(done) == len(set(done))
    assert all(isinstance(call.exception(), Unavailable) for call in calls)


async def some_turns() -> None:
    """Long enough for a batch to go out: sending waits for nobody."""
    for _ in range(20):
        await asyncio.sleep(0)


async def answers(pipe: Pipe) -> bool:
    try:
        return bool(await pipe.call("PING"))
    except Unavailable:
        return False


@pytest.mark.parametrize("sent", [False, True])
async def test_a_caller_who_gives_up_leaves_its_reply_to_nobody(
    own_redis: RedisServer, new_pipe: NewPipe, sent: bool
) -> None:
    pipe = new_pipe(own_redis.address)
    await pipe.call("PING")
    own_redis.freeze()
    calls = [pipe.call("ECHO", f"{number}") for number in range(100)]
    if sent:
        await some_turns()
    for call in calls[::3]:
        call.cancel()
    late = pipe.call("ECHO", "late")
    own_redis.thaw()
    assert await late == "late"
    kept = [(number, call) for number, call in enumerate(calls) if not call.cancelled()]
    assert [await call for _, call in kept] == [f"{number}" for number, _ in kept]


async def test_a_call_is_answered_in_time_though_redis_is_frozen(
    own_redis: RedisServer, new_pipe: NewPipe
) -> None:
    pipe = new_pipe(own_redis.address, timeout=3.0)
    await pipe.call("PING")
    own_redis.freeze()
    early = pipe.call("PING")
    await some_turns()
    late = pipe.call("PING")
    for call in (early, late):
        async with asyncio.timeout(5.5):
            with pytest.raises(Unavailable):
                await call
    assert not pipe.reached


async def test_a_redis_that_is_gone_is_said_once_and_its_return_too(
    own_redis: RedisServer, new_pipe: NewPipe
) -> None:
    changes: list[bool] = []
    pipe = new_pipe(own_redis.address, changed=changes.append)
    await pipe.call("PING")
    own_redis.kill()
    pipe._timeout = 0.1
    for _ in range(3):
        with pytest.raises(Unavailable):
            await pipe.call("PING")
    pipe._timeout = 10
    own_redis.start()
    await eventually(lambda: answers(pipe))
    assert changes == [True, False, True]
    assert pipe.connects == 2


async def test_a_redis_that_forgets_its_scripts_harms_nothing(
    redis: RedisServer, new_pipe: NewPipe
) -> None:
    pipe = new_pipe(redis.address)
    for number in range(1, 4):
        assert await pipe.call("EVAL", SCRIPT, 1, "count", once=True) == number
        await pipe.call("SCRIPT", "FLUSH")


async def test_what_redis_refuses_fails_alone(redis: RedisServer, new_pipe: NewPipe) -> None:
    pipe = new_pipe(redis.address)
    before, refused, after = (
        pipe.call("SET", "text", "no number"),
        pipe.call("INCR", "text"),
        pipe.call("GET", "text"),
    )
    with pytest.raises(Unavailable):
        await refused
    assert (await before, await after) == ("OK", "no number")
    assert pipe.reached


async def test_what_is_no_text_fails_nothing_else_and_names_nothing_else(
    redis: RedisServer, new_pipe: NewPipe
) -> None:
    pipe = new_pipe(redis.address)
    await pipe.call("PING")
    before, strange, after = (
        pipe.call("SET", "text", "good"),
        pipe.call("GET", "te\udcffxt"),
        pipe.call("GET", "text"),
    )
    assert (await before, await strange, await after) == ("OK", None, "good")
    assert pipe.reached
    assert pipe.connects == 1


async def test_what_was_asked_for_is_finished_before_the_end(redis: RedisServer) -> None:
    pipe = Pipe(
        connect_to(redis.address), timeout=2, max_retries=10, changed=lambda reached, why: None
    )
    asked = [pipe.call("INCR", "count") for _ in range(3)]
    await pipe.close()
    assert [call.result() for call in asked] == [1, 2, 3]


async def test_one_turn_of_the_loop_is_one_round_trip(redis: RedisServer) -> None:
    connect = connect_to(redis.address)
    written: list[Any] = []

    async def counting() -> AbstractConnection:
        connection = await connect()
        send = connection.send_packed_command

        async def counted(command: Any, check_health: bool = True) -> None:
            written.append(command)
            await send(command, check_health=check_health)

        connection.send_packed_command = counted  # type: ignore[method-assign]
        return connection

    pipe = Pipe(counting, timeout=2, max_retries=0, changed=lambda reached, why: None)
    await pipe.call("PING")
    written.clear()
    await asyncio.gather(*(pipe.call("INCR", "count") for _ in range(50)))
    assert len(written) == 1
    await pipe.close()


@pytest.mark.parametrize("takes", [0.02, 0.6], ids=["soon", "late"])
async def test_calls_that_have_little_time_left_cost_those_after_them_nothing(
    proxy: Proxy, takes: float
) -> None:
    connect = connect_to(proxy.address)

    async def slow() -> AbstractConnection:
        await asyncio.sleep(takes)
        return await connect()

    pipe = Pipe(slow, timeout=1.0, max_retries=10, changed=lambda *_: None)
    pipe.call("PING").add_done_callback(_settled)
    await eventually(lambda: answers(pipe))
    proxy.set(there=Faults(stalled=True))
    proxy.cut()
    asked: list[asyncio.Future[Any]] = []

    def ask() -> bool:
        asked.append(pipe.call("PING"))
        asked[-1].add_done_callback(_settled)
        return False

    # For longer than a call may take: the oldest is always about to be given up.
    assert not await holds_within(ask, 2.0)
    proxy.heal()
    before, connects = len(asked), pipe.connects
    assert not await holds_within(ask, 2.0)
    await asyncio.wait(asked)
    assert pipe.connects <= connects + 1
    # Who asked before waits for the connection that is being made; who asks now gets answered.
    failed = [number for number, call in enumerate(asked) if call.exception() is not None]
    assert not [number for number in failed if number >= before]
    await pipe.close()


def _settled(call: asyncio.Future[Any]) -> None:
    if not call.cancelled():
        call.exception()
