"""Promises 1 to 6 hold while nodes of two versions are one cluster: they are tested by the same
tests as elsewhere, with fewer rounds."""

# ruff: noqa: F401  # What is imported here is also run here.

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.promises import (
    test_channels,
    test_claims,
    test_disconnect,
    test_open,
    test_order,
    test_report,
)
from tests.promises.test_channels import (
    test_a_channel_can_be_emptied_by_its_own_name,
    test_a_send_right_after_unsubscribing_does_not_arrive,
    test_b37_one_that_is_subscribed_already_does_not_keep_out_the_others,
    test_b38_no_one_of_100_concurrent_subscribes_is_lost,
    test_b76_a_subscribe_that_races_a_connect_does_not_revive_the_claim,
    test_b77_a_move_that_races_a_connect_is_not_lost,
    test_b77_a_send_right_after_subscribing_arrives,
    test_claims_move_too_unless_they_are_ignored,
)
from tests.promises.test_claims import (
    test_a_used_claim_is_missing,
    test_b01_of_50_clients_that_race_for_a_claim_one_is_let_in,
    test_b52_of_50_creations_with_one_id_one_succeeds,
    test_losers_of_the_race_receive_nothing_and_are_not_counted,
)
from tests.promises.test_disconnect import (
    test_a_logout_leaves_all_others_alone,
    test_b59_users_and_sessions_whose_names_run_together_are_kept_apart,
    test_b60_a_logout_by_id_leaves_the_users_claims_alone,
    test_b61_nobody_is_left_when_the_logout_is_answered,
    test_b61_nobody_who_connects_during_a_logout_survives_it,
    test_claims_that_are_kept_still_admit,
)
from tests.promises.test_open import (
    test_a_send_to_an_id_that_info_shows_arrives,
    test_b07_who_has_a_101_is_reachable_and_shown_at_once,
    test_who_has_left_is_shown_no_more_and_not_counted,
    test_who_is_counted_while_connecting_has_the_message,
)
from tests.promises.test_order import (
    test_b19_sends_made_one_after_the_other_arrive_in_that_order,
    test_b39_nobody_else_receives_it,
    test_commands_of_both_kinds_keep_their_order,
    test_concurrent_sends_arrive_in_one_order_at_all_receivers_of_a_worker,
    test_nobody_gets_a_copy_twice_however_channels_overlap,
    test_sends_through_both_api_nodes_in_turn_keep_their_order,
)
from tests.promises.test_report import (
    test_who_is_not_matched_stays_connected,
    test_who_stays_is_counted_whoever_leaves_at_that_moment,
    test_without_a_report_only_the_workers_are_named,
)
from tests.support.cluster import Cluster
from tests.support.crowd import Crowd

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("fewer_rounds")]

FEWER = [
    (test_channels, "MOVES", 12),
    (test_channels, "RACES", 24),
    (test_claims, "ROUNDS", 2),
    (test_claims, "RIVALS", 20),
    (test_disconnect, "LOGOUTS", 8),
    (test_open, "CLIENTS", 24),
    (test_open, "RACES", 30),
    (test_order, "SENDS", 120),
    (test_order, "CONCURRENT", 60),
]


@pytest.fixture(scope="module")
def patience() -> dict[str, str]:
    """Nobody stands still here, though a busy machine may look like it."""
    return {"report_timeout": "10s", "redis_timeout": "10s"}


@pytest.fixture
def fewer_rounds() -> Iterator[None]:
    """What differs between two versions shows in each round."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, rounds in FEWER:
            patch.setattr(module, name, rounds)
        yield


@pytest.mark.parametrize(
    ("target", "count"),
    [({"user": "a", "session": "s"}, 2), ({"channel": "sport", "user": "a"}, 1)],
)
async def test_b69_reports_count_whom_the_target_matches(
    cluster: Cluster, crowd: Crowd, target: dict[str, str], count: int
) -> None:
    await test_report.test_b69_reports_count_whom_the_target_matches(cluster, crowd, target, count)


async def test_the_largest_message_arrives_whole(cluster: Cluster, crowd: Crowd) -> None:
    test = test_open.test_a_message_of_any_size_up_to_the_limit_arrives_whole
    await test(cluster, crowd, 2**20)
