"""Claims as only another program stores them: still each lets in one client, once."""

from __future__ import annotations

import pytest

from tests.migration.go_api import GoApi
from tests.support.cluster import Cluster
from tests.support.crowd import MISSING_CLAIM, Client, Crowd


@pytest.mark.parametrize("channels", ["a,a", "a,", ",a", "a,,b"])
async def test_a_claim_whose_channels_are_written_oddly_lets_one_client_in_once(
    cluster: Cluster, crowd: Crowd, go: GoApi, channels: str
) -> None:
    claim = go.claim("u")
    go.redis.hset(f"claim:{claim}", "channels", channels)
    answers = [await crowd.attempt(claim, worker=i % 2) for i in range(3)]
    assert [type(answer) for answer in answers].count(Client) == 1
    assert answers.count(MISSING_CLAIM) == 2


async def test_a_claim_that_a_go_api_puts_into_a_channel_with_a_comma_lets_in_once(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    claim = go.claim("u", "", "a")
    go.subscribe("a,b", user="u")
    answers = [await crowd.attempt(claim, worker=i % 2) for i in range(3)]
    assert [type(answer) for answer in answers].count(Client) == 1


async def test_a_claim_of_a_user_that_is_no_utf8_lets_nobody_in(
    cluster: Cluster, crowd: Crowd, go: GoApi
) -> None:
    claim = go.claim("u")
    go.redis.hset(f"claim:{claim}", "user", b"\xff")  # POST /claim?user=%FF
    answers = [await crowd.attempt(claim, worker=i % 2) for i in range(3)]
    assert answers == [MISSING_CLAIM] * 3
