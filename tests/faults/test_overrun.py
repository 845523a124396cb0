"""A worker reads its mailbox too slowly, and Redis throws away what waits for it."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from dsock.backends.redis import watch
from tests.support.cluster import Caller, Cluster, node_up
from tests.support.eventually import eventually
from tests.support.process import processes
from tests.support.redis_server import RedisServer

LIMIT = 2**20
"""Bytes that Redis keeps for a subscriber."""

SENDS = 90
PADDING = "." * 2**18
"""Together far more than sockets hold, so that Redis has to keep it."""

END = "end"

REPORT_TIMEOUT = 15.0
"""Seconds: nobody has given up before the worker goes on."""

BACK = 2.0
"""Seconds until it has subscribed again, behind all that it had in its socket."""


async def missed(address: str) -> int:
    """How many commands a worker says did not arrive."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://{address}/metrics")).text
    found = re.search(r"^dsock_mailbox_gaps_total (\d+)", text, re.MULTILINE)
    assert found
    return int(found[1])


async def heard(client: ClientConnection) -> list[int]:
    """The numbers of all that comes before the end."""
    messages = []
    while (message := str(await client.recv())) != END:
        messages.append(int(message.split(".")[0]))
    return messages


@pytest.mark.parametrize("fresh", [True, False])
async def test_what_redis_throws_away_is_unanswered_and_counted_as_a_gap(
    monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    """A fresh Redis may lack routes: then all workers are told in one mailbox."""
    options = ("--client-output-buffer-limit", f"pubsub {LIMIT} 0 0")
    with RedisServer(*options) as redis:
        if fresh:
            # Until the end.
            monkeypatch.setattr(watch, "DOUBT", 3600.0)
        else:
            await asyncio.to_thread(redis.wait_for_uptime, watch.DOUBT + 1)
        async with (
            processes(1, "worker", redis_host=redis.address, send_buffer_limit="64MiB") as [worker],
            node_up("api", redis_host=redis.address, report_timeout=REPORT_TIMEOUT) as (node, at),
        ):
            api = Caller(f"http://{at}")
            cluster = Cluster("redis", [api], [await worker.listening()], [node])
            async with api.http, cluster.client("u") as client:
                hearing = asyncio.create_task(heard(client))
                assert (await api.send("-1", user="u")).report["connections"] == 1
                assert await missed(cluster.workers[0]) == 0

                def is_over() -> bool:
                    with redis.client() as someone:
                        # The subscriber who is left is the API.
                        cut_off = len(someone.client_list(_type="pubsub")) == 1
                        heard = someone.info("stats")["total_net_input_bytes"]
                        return cut_off and heard > SENDS * len(PADDING)

                worker.stop()
                sending = [
                    asyncio.create_task(api.send(f"{number}{PADDING}", user="u"))
                    for number in range(SENDS)
                ]
                await eventually(is_over)
                worker.go_on()

                async def reaches() -> bool:
                    return (await api.send(END, user="u")).report["connections"] == 1

                await eventually(reaches, BACK)
                replies = [await one for one in sending]
                numbers = await hearing

                lost = set(range(SENDS)) - set(numbers)
                unanswered = {
                    number for number, reply in enumerate(replies) if reply.report["unanswered"]
                }
                assert lost == unanswered
                assert 0 < len(lost) <= await missed(cluster.workers[0])
