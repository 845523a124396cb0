"""The moments of an admission that luck does not find, one by one, on every backend."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.steps import READ, RECORD, ROUTE, TAKE, Steps, stepped


@pytest.fixture
async def steps(cluster: Cluster) -> Steps:
    return stepped(cluster.nodes[0])


def connecting(cluster: Cluster, claim: str) -> asyncio.Task[ClientConnection]:
    async def dial() -> ClientConnection:
        return await connect(cluster.url(f"?claim={claim}"))

    return asyncio.create_task(dial())


async def refusal(attempt: asyncio.Task[ClientConnection]) -> int:
    with pytest.raises(InvalidStatus) as refused:
        await attempt
    return refused.value.response.status_code


@pytest.mark.parametrize("moment", [READ, ROUTE, TAKE, RECORD])
async def test_b77_a_subscribe_at_any_moment_of_a_connect_holds(
    cluster: Cluster, steps: Steps, moment: str
) -> None:
    claim = await cluster.api.claim("u", channels="a")
    async with steps.held_before(moment) as arrived:
        attempt = connecting(cluster, claim)
        await arrived()
        reply = await cluster.apis[1].subscribe("b", user="u")
        assert reply.status == 200, reply
    async with await attempt as client:
        assert (await cluster.api.info(user="u"))["connections"][0]["channels"] == ["a", "b"]
        assert (await cluster.api.info(user="u"))["claims"] == []
        assert (await cluster.api.send("news", channel="b")).report["connections"] == 1
        assert await client.recv() == "news"


@pytest.mark.parametrize("moment", [READ, ROUTE, TAKE, RECORD])
async def test_an_unsubscribe_at_any_moment_of_a_connect_holds(
    cluster: Cluster, steps: Steps, moment: str
) -> None:
    claim = await cluster.api.claim("u", channels="a,b")
    async with steps.held_before(moment) as arrived:
        attempt = connecting(cluster, claim)
        await arrived()
        assert (await cluster.apis[1].unsubscribe("a", user="u")).status == 200
    async with await attempt:
        assert (await cluster.api.info(user="u"))["connections"][0]["channels"] == ["b"]
        assert (await cluster.api.send("news", channel="a")).report["connections"] == 0


@pytest.mark.parametrize("target", [{"user": "u"}, {"user": "u", "session": "s"}, {"channel": "a"}])
@pytest.mark.parametrize("moment", [READ, ROUTE, TAKE, RECORD])
async def test_b61_nobody_survives_a_logout_at_any_moment_of_a_connect(
    cluster: Cluster, steps: Steps, moment: str, target: dict[str, str]
) -> None:
    claim = await cluster.api.claim("u", session="s", channels="a")
    async with steps.held_before(moment) as arrived:
        attempt = connecting(cluster, claim)
        await arrived()
        assert (await cluster.apis[1].disconnect(**target)).status == 200
    assert await refusal(attempt) == 401
    assert await cluster.api.info(user="u") == {
        "success": True,
        "connections": [],
        "claims": [],
    }
    assert (await cluster.api.send("x", user="u")).report["connections"] == 0


async def test_a_logout_that_keeps_claims_still_ends_a_connect_that_has_begun(
    cluster: Cluster, steps: Steps
) -> None:
    claim = await cluster.api.claim("u")
    async with steps.held_before(RECORD) as arrived:
        attempt = connecting(cluster, claim)
        await arrived()
        assert (await cluster.api.disconnect(user="u", keepClaims="true")).status == 200
    assert await refusal(attempt) == 401


async def test_of_two_clients_that_have_both_read_a_claim_one_takes_it(
    cluster: Cluster, steps: Steps
) -> None:
    claim = await cluster.api.claim("u")
    async with steps.held_before(TAKE, clients=2) as arrived:
        attempts = [connecting(cluster, claim) for _ in range(2)]
        await arrived()
    done = await asyncio.gather(*attempts, return_exceptions=True)
    admitted = [one for one in done if isinstance(one, ClientConnection)]
    assert len(admitted) == 1
    assert len((await cluster.api.info(user="u"))["connections"]) == 1
    await admitted[0].close()


async def test_messages_sent_while_a_client_is_being_let_in_wait_for_it_uncounted(
    cluster: Cluster, steps: Steps
) -> None:
    claim = await cluster.api.claim("u")
    async with steps.held_before(RECORD) as arrived:
        attempt = connecting(cluster, claim)
        await arrived()
        for number in range(3):
            report = (await cluster.api.send(str(number), user="u")).report
            assert (report["connections"], report["dropped"]) == (0, 0)
    async with await attempt as client:
        await cluster.api.send("3", user="u")
        assert [await client.recv() for _ in range(4)] == ["0", "1", "2", "3"]


async def test_a_client_that_leaves_while_it_is_let_in_leaves_nothing_behind(
    cluster: Cluster, steps: Steps
) -> None:
    claim = await cluster.api.claim("u")
    async with steps.held_before(ROUTE) as arrived:
        attempt = connecting(cluster, claim)
        await arrived()
        attempt.cancel()
        worker = cluster.nodes[0].worker
        assert worker
        await eventually(lambda: not len(worker.registry))
    # It had not used the claim up, so somebody else still can.
    async with connect(cluster.url(f"?claim={claim}")) as client:
        assert len((await cluster.api.info(user="u"))["connections"]) == 1
        await cluster.api.disconnect(user="u")
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_a_claim_that_changes_again_and_again_is_given_up_unused(
    cluster: Cluster, steps: Steps
) -> None:
    claim = await cluster.api.claim("u")
    worker = cluster.nodes[0].worker
    assert worker
    assert worker.membership
    take, number = worker.membership.take, iter(range(100))

    async def overtaken(read: object) -> object:
        await cluster.api.subscribe(f"c{next(number)}", user="u")
        return await take(read)  # type: ignore[arg-type]

    worker.membership.take = overtaken  # type: ignore[method-assign, assignment]
    assert await refusal(connecting(cluster, claim)) == 503
    info = await cluster.api.info(user="u")
    assert [one["id"] for one in info["claims"]] == [claim]
    assert info["connections"] == []
