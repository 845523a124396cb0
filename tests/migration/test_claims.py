"""Claims that a Go API makes, changes and voids, and what it finds of ours."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest

from tests.migration.go_api import GoApi, go_parse, go_time
from tests.support.cluster import Cluster
from tests.support.crowd import MISSING_CLAIM, Client, Crowd, Refusal
from tests.support.eventually import eventually

ZONES: list[tuple[tzinfo, str]] = [
    (UTC, ""),
    (timezone(timedelta(hours=2)), ""),
    (timezone(-timedelta(hours=9, minutes=30)), ""),
    (UTC, ".123456789"),
    (timezone(timedelta(hours=5, minutes=45)), ".5"),
]


@pytest.mark.parametrize(("zone", "nanoseconds"), ZONES, ids=["Z", "+2", "-9:30", "ns", "+5:45"])
async def test_a_claim_of_a_go_api_lets_one_client_in_once(
    cluster: Cluster, crowd: Crowd, go: GoApi, zone: tzinfo, nanoseconds: str
) -> None:
    claim = go.claim("u", "s", "news,sport", zone=zone, nanoseconds=nanoseconds)
    answers = await asyncio.gather(*(crowd.attempt(claim, worker=i % 2) for i in range(10)))
    assert [type(answer) for answer in answers].count(Client) == 1
    assert answers.count(MISSING_CLAIM) == 9
    [connection] = (await cluster.api.info(user="u"))["connections"]
    assert (connection["session"], connection["channels"]) == ("s", ["news", "sport"])


async def test_b51_a_claim_that_was_used_leaves_its_sets_and_only_the_zero_of_go_stays(
    crowd: Crowd, go: GoApi
) -> None:
    sets = ["claim-user:u", "claim-user-session:u-s", "claim-channel:news"]
    await crowd.use(go.claim("u", "s", "news"))
    assert not go.redis.keys("claim:*")
    await eventually(lambda: all(go.redis.smembers(key) == {"0"} for key in sets))


async def test_b51_a_claim_with_the_id_zero_is_nobody_elses(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    go.claim("a", id="0")
    go.claim("b")
    assert [one["user"] for one in (await cluster.api.info(user="b"))["claims"]] == ["b"]
    assert (await cluster.api.disconnect(user="b")).status == 200
    assert isinstance(await crowd.attempt("0"), Client)


async def test_our_info_shows_a_claim_of_a_go_api(cluster: Cluster, go: GoApi) -> None:
    east = timezone(timedelta(hours=2))
    id = go.claim("u", "s", "news,sport", zone=east)
    expected = {
        "id": id,
        "expiration": go_parse(go.redis.hget(f"claim:{id}", "expiration")),
        "user": "u",
        "session": "s",
        "channels": ["news", "sport"],
    }
    for target in ({"user": "u"}, {"user": "u", "session": "s"}, {"channel": "sport"}):
        assert (await cluster.api.info(**target))["claims"] == [expected]
    assert (await cluster.api.info(user="u", session="other"))["claims"] == []


@pytest.mark.parametrize(
    "target", [{"user": "u"}, {"user": "u", "session": "s"}, {"channel": "news"}]
)
async def test_our_disconnect_voids_a_claim_of_a_go_api(
    cluster: Cluster, crowd: Crowd, go: GoApi, target: dict[str, str]
) -> None:
    claim, other = go.claim("u", "s", "news"), go.claim("other")
    assert (await cluster.api.disconnect(**target)).status == 200
    assert await crowd.attempt(claim) == MISSING_CLAIM
    assert claim not in {m for key in go.redis.keys("claim-*") for m in go.redis.smembers(key)}
    assert isinstance(await crowd.attempt(other), Client)


@pytest.mark.parametrize(
    "target", [{"user": "u"}, {"user": "u", "session": "s"}, {"channel": "news"}]
)
async def test_a_go_disconnect_voids_our_claims(
    cluster: Cluster, crowd: Crowd, go: GoApi, target: dict[str, str]
) -> None:
    claim = await cluster.api.claim("u", session="s", channels="news")
    go.disconnect(**target)
    assert await crowd.attempt(claim) == MISSING_CLAIM
    assert (await cluster.api.info(user="u"))["claims"] == []


async def test_our_claims_read_as_a_go_api_would_have_written_them(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    plain = await cluster.api.claim("u")
    full = await cluster.api.claim("u", session="s", channels="news,sport", duration="90")
    assert go.redis.hgetall(f"claim:{plain}").keys() == {"user", "expiration"}
    claims = go.info(user="u").claims
    assert claims.keys() == {plain, full}
    ends = claims[full].pop("expiration")
    assert claims[full] == {"user": "u", "session": "s", "channels": "news,sport"}
    assert abs(ends - datetime.now(UTC).timestamp() - 90) < 5
    assert 0 < go.redis.ttl(f"claim:{full}") <= 90
    assert go.info(user="u", session="s").claims.keys() == {full}
    assert go.info(channel="sport").claims.keys() == {full}
    await crowd.use(full)
    await eventually(lambda: go.claims_of({"channel": "sport"}) == set())


@pytest.mark.parametrize("maker", ["go", "ours"])
async def test_what_a_go_api_changes_in_a_claim_counts_when_it_is_used(
    cluster: Cluster, crowd: Crowd, go: GoApi, maker: str
) -> None:
    ours = maker == "ours"
    claim = await cluster.api.claim("u", channels="news") if ours else go.claim("u", "", "news")
    go.subscribe("sport", user="u")
    go.unsubscribe("news", user="u")
    assert go.info(channel="sport").claims.keys() == {claim}
    await crowd.use(claim)
    [connection] = (await cluster.api.info(channel="sport"))["connections"]
    assert connection["channels"] == ["sport"]


async def test_a_claim_that_a_go_api_has_left_without_channels_lets_in(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    claim = go.claim("u", "", "news")
    go.unsubscribe("news", user="u")
    assert go.redis.hget(f"claim:{claim}", "channels") == ""
    await crowd.use(claim)
    assert await crowd.attempt(claim) == MISSING_CLAIM


async def test_what_we_change_in_a_claim_of_a_go_api_counts_there_too(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    claim = go.claim("u", "", "news")
    assert (await cluster.api.subscribe("sport", user="u")).status == 200
    assert (await cluster.api.unsubscribe("news", user="u")).status == 200
    assert go.info(channel="sport").claims[claim]["channels"] == "sport"
    await crowd.use(claim)
    assert (await cluster.api.info(channel="sport"))["connections"]


async def test_b76_a_claim_that_a_go_api_brings_back_without_a_user_lets_nobody_in(
    crowd: Crowd, cluster: Cluster, go: GoApi
) -> None:
    claim = go.claim("u")
    await crowd.use(claim)
    # It had read the claim before, and writes after.
    go.redis.hset(f"claim:{claim}", "channels", "news")
    go.redis.sadd("claim-channel:news", claim)
    assert await crowd.attempt(claim) == MISSING_CLAIM
    assert (await cluster.api.info(channel="news"))["claims"] == []
    assert (await cluster.api.disconnect(channel="news")).status == 200


PAST = go_time(datetime.now(UTC) - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("expiration", "code"),
    [(PAST, "EXPIRED_CLAIM"), ("soon", "INVALID_EXPIRATION"), ("", "INVALID_EXPIRATION")],
    ids=["past", "no date", "empty"],
)
async def test_b53_a_claim_without_an_end_lets_nobody_in_late(
    crowd: Crowd, go: GoApi, expiration: str, code: str
) -> None:
    # Its EXPIREAT has failed, and nobody has noticed.
    claim = go.claim("u")
    go.redis.persist(f"claim:{claim}")
    go.redis.hset(f"claim:{claim}", "expiration", expiration)
    assert await crowd.attempt(claim) == Refusal(401, code)


async def test_a_set_of_claims_that_a_go_api_made_is_given_no_end(
    cluster: Cluster, go: GoApi
) -> None:
    go.claim("u", "", "news", seconds=3600)
    await cluster.api.claim("u", channels="news", duration="1")
    assert go.redis.ttl("claim-user:u") == go.redis.ttl("claim-channel:news") == -1
