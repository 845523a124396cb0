"""The checker finds each kind of breach in a history that has one, and none in one that has
none."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from dsock.target import Target, ToChannel, ToConnection, ToUser
from tests.faults.history import breaches
from tests.faults.ledger import (
    Answer,
    Client,
    Disconnected,
    Ledger,
    Message,
    Moved,
    Sent,
    Shown,
    Window,
)


def client(name: str = "a", *got: int, **more: object) -> Client:
    """Somebody of user u, in channel news, who was there from second 1 to second 100."""
    received = [(10.5 + number, Message("s", number)) for number in got]
    given: dict[str, object] = {
        "channels": frozenset(("news",)),
        "claimed": 0.0,
        "opened": 1.0,
        "left": 100.0,
        "closed": 100.1,
        "code": 1000,
        "id": f"id-{name}",
        "worker": "w",
        "received": received,
        **more,
    }
    return Client(name, "u", name, **given)  # type: ignore[arg-type]


def sent(number: int, target: Target | None = None, count: int = 1, **more: Any) -> Sent:
    answer = Answer(10.0 + number, 10.1 + number, **{"status": 200, **more}, connections=count)
    return Sent(Message("s", number), target or ToUser("u"), answer)


def moved(at: float, subscribed: bool, status: int = 200, channel: str = "sport") -> Moved:
    return Moved(ToUser("u", "a"), channel, subscribed, Answer(at, at + 0.1, status))


def gone(at: float, target: Target | None = None, status: int = 200) -> Disconnected:
    return Disconnected(target or ToUser("u"), Answer(at, at + 0.1, status))


def kinds(ledger: Ledger) -> list[str]:
    return [breach.kind for breach in breaches(ledger)]


def fault(began: float = 0.0, ended: float = 100.0, **more: Any) -> list[Window]:
    return [Window(began, ended, "a fault", **more)]


GOOD = [
    Ledger(clients=[client("a", 1, 2), client("b", 1, 2)], sent=[sent(1, count=2), sent(2)]),
    # A message may be lost where the answer does not say otherwise.
    Ledger(clients=[client()], sent=[sent(1, count=0, unanswered=1)], windows=fault()),
    Ledger(clients=[client()], sent=[sent(1, count=0, status=503)], windows=fault()),
    Ledger(clients=[client()], sent=[sent(1, count=0, dropped=1)]),
    # In the buffer is not read.
    Ledger(
        clients=[client(left=inf, closed=11.2, code=None)],
        sent=[sent(1)],
        windows=fault(closes="w"),
    ),
    # Its worker had been declared gone, and did not know yet when the client left.
    Ledger(
        clients=[client(left=12.0, closed=12.1)],
        sent=[sent(1, count=0)],
        windows=fault(5, 20, closes="w"),
    ),
    # It left by itself, before or while this was sent.
    Ledger(clients=[client(left=10.5, closed=10.6)], sent=[sent(1, count=0)]),
    Ledger(clients=[client(left=11.05, closed=11.2)], sent=[sent(1)]),
    # It was being let in, and is not counted.
    Ledger(clients=[client("a", 1, opened=11.05)], sent=[sent(1, count=0)]),
    # What was sent before the logout may come.
    Ledger(
        clients=[client("a", 1, left=inf, closed=12.5)],
        sent=[sent(1)],
        disconnected=[gone(12)],
    ),
    # Who comes with a claim that is made after it may come.
    Ledger(clients=[client("a", 1, claimed=6, opened=7)], sent=[sent(1)], disconnected=[gone(5)]),
    # A channel is joined and left.
    Ledger(
        clients=[client("a", 1)],
        sent=[sent(1, ToChannel("sport")), sent(5, ToChannel("sport"), count=0)],
        moved=[moved(10, subscribed=True), moved(14, subscribed=False)],
    ),
    # A call that failed may be carried out all the same.
    Ledger(
        clients=[client("a", 5)],
        sent=[sent(5, ToChannel("sport"))],
        moved=[moved(10, True, status=503), moved(12, False)],
        windows=fault(),
    ),
    Ledger(
        clients=[client(id="id-a")],
        shown=[Shown(ToUser("u"), frozenset(("id-a",)), Answer(5, 6, 200))],
    ),
    # Nobody has waited for it, and it was lost in a fault that came after the answer.
    Ledger(clients=[client()], sent=[sent(1, count=0, waited=False)], windows=fault(11.5, 20)),
    # No logout voids a JWT.
    Ledger(clients=[client(claimed=inf, opened=11)], disconnected=[gone(10)]),
    # Its worker was declared gone, and Redis forgot the mark.
    Ledger(
        clients=[client("a", 1, left=inf, closed=12.5)],
        sent=[sent(1)],
        disconnected=[gone(10)],
        windows=[*fault(9, 20, closes="w"), *fault(11, 14, unmarks=True)],
    ),
    Ledger(keys={"reaped:worker"}),
]


@pytest.mark.parametrize("ledger", GOOD)
def test_a_history_that_keeps_all_promises_passes(ledger: Ledger) -> None:
    assert breaches(ledger) == []


def test_a_claim_that_admits_two_is_found() -> None:
    twice = [client("a", claim="c"), client("b", claim="c")]
    assert kinds(Ledger(clients=[*twice, client("c", claim="d")])) == ["admission"]


def test_a_claim_for_which_two_come_and_one_stays_out_is_none() -> None:
    assert kinds(Ledger(clients=[client("a", claim="c"), client("b", claim="c", opened=inf)])) == []


def test_a_message_to_somebody_else_is_found() -> None:
    ledger = Ledger(clients=[client("a", 1)], sent=[sent(1, ToUser("other"), count=0)])
    assert kinds(ledger) == ["stranger"]


@pytest.mark.parametrize(
    "target", [ToUser("u", "b"), ToConnection("id-b"), ToChannel("sport")], ids=str
)
def test_a_message_to_another_of_the_same_user_is_found(target: Target) -> None:
    ledger = Ledger(clients=[client("a", 1)], sent=[sent(1, target, count=0)])
    assert kinds(ledger) == ["stranger"]


def test_a_message_that_nobody_sent_is_found() -> None:
    assert kinds(Ledger(clients=[client("a", 7)])) == ["stranger"]


def test_a_message_to_a_channel_that_was_left_is_found() -> None:
    ledger = Ledger(
        clients=[client("a", 5)],
        sent=[sent(5, ToChannel("sport"))],
        moved=[moved(10, subscribed=True), moved(12, subscribed=False)],
    )
    assert kinds(ledger) == ["stranger"]


def test_a_second_copy_is_found() -> None:
    assert kinds(Ledger(clients=[client("a", 1, 1)], sent=[sent(1)])) == ["double"]


def test_an_inversion_is_found() -> None:
    ledger = Ledger(clients=[client("a", 2, 1)], sent=[sent(1), sent(2)])
    assert kinds(ledger) == ["inversion"]


@pytest.mark.parametrize(
    ("status", "windows", "found"),
    [(503, fault(), []), (200, fault(), ["inversion"]), (503, fault(9, 10), ["inversion"])],
)
def test_only_what_failed_may_come_late_and_only_while_the_fault_lasts(
    status: int, windows: list[Window], found: list[str]
) -> None:
    sends = [sent(1, None, 1, status=status), sent(2)]
    ledger = Ledger(clients=[client("a", 2, 1)], sent=sends, windows=windows)
    assert [kind for kind in kinds(ledger) if kind == "inversion"] == found


@pytest.mark.parametrize(
    ("windows", "found"), [(fault(), []), (fault(11.5, 13), []), ([], ["inversion"])]
)
def test_what_nobody_has_waited_for_may_come_late_only_while_something_is_broken(
    windows: list[Window], found: list[str]
) -> None:
    sends = [sent(1, count=0, waited=False), sent(2)]
    ledger = Ledger(clients=[client("a", 2, 1)], sent=sends, windows=windows)
    assert kinds(ledger) == found


def test_what_nobody_has_waited_for_comes_while_nothing_is_broken() -> None:
    ledger = Ledger(clients=[client()], sent=[sent(1, count=0, waited=False)])
    assert kinds(ledger) == ["untold"]


def test_who_comes_with_a_jwt_and_stays_after_a_logout_is_found() -> None:
    assert kinds(Ledger(clients=[client(claimed=inf)], disconnected=[gone(10)])) == ["ghost"]


def test_a_message_after_a_logout_is_found() -> None:
    ledger = Ledger(
        clients=[client("a", 1, left=inf, closed=11.6)], sent=[sent(1)], disconnected=[gone(10)]
    )
    assert kinds(ledger) == ["ghost"]


@pytest.mark.parametrize(
    "windows",
    [
        [*fault(9, 20, closes="v"), *fault(11, 14, unmarks=True)],
        [*fault(9, 20, closes="w"), *fault(11, 11.4, unmarks=True)],
    ],
)
def test_a_mark_that_is_lost_excuses_only_a_worker_that_was_gone_and_not_for_long(
    windows: list[Window],
) -> None:
    ledger = Ledger(
        clients=[client("a", 1, left=inf, closed=12.5)],
        sent=[sent(1)],
        disconnected=[gone(10)],
        windows=windows,
    )
    assert kinds(ledger) == ["ghost"]


def test_who_stays_after_a_logout_is_found() -> None:
    assert kinds(Ledger(clients=[client()], disconnected=[gone(10)])) == ["ghost"]


def test_who_comes_in_with_a_claim_that_was_voided_is_found() -> None:
    ledger = Ledger(clients=[client(claimed=9, opened=11)], disconnected=[gone(10)])
    assert kinds(ledger) == ["ghost"]


def test_who_stays_on_a_worker_that_came_back_is_found() -> None:
    ledger = Ledger(clients=[client()], disconnected=[gone(10)], windows=fault(9, 20, closes="w"))
    assert kinds(ledger) == ["ghost"]


def test_a_message_that_is_counted_and_was_not_received_is_found() -> None:
    ledger = Ledger(clients=[client()], sent=[sent(1, unanswered=1)], windows=fault())
    assert kinds(ledger) == ["lost"]


def test_no_fault_excuses_a_count_that_is_not_true() -> None:
    ledger = Ledger(
        clients=[client("a", 1), client("b")], sent=[sent(1, count=2)], windows=fault(forgets=True)
    )
    assert kinds(ledger) == ["lost"]


def test_a_client_that_a_success_has_forgotten_is_found() -> None:
    ledger = Ledger(clients=[client()], sent=[sent(1, count=0)], windows=fault())
    assert kinds(ledger) == ["untold"]


@pytest.mark.parametrize("windows", [fault(closes="v"), fault(5, 20, closes="w")])
def test_a_client_is_forgotten_only_while_its_own_worker_is_broken(windows: list[Window]) -> None:
    ledger = Ledger(clients=[client()], sent=[sent(1, count=0)], windows=windows)
    assert kinds(ledger) == ["untold"]


def test_a_channel_that_was_joined_in_vain_is_found() -> None:
    ledger = Ledger(
        clients=[client()],
        sent=[sent(1, ToChannel("sport"), count=0)],
        moved=[moved(10, subscribed=True)],
    )
    assert kinds(ledger) == ["untold"]


@pytest.mark.parametrize("answer", [{"status": 503}, {"unanswered": 1}, {"status": 0}], ids=str)
def test_a_failure_while_nothing_is_broken_is_found(answer: dict[str, int]) -> None:
    ledger = Ledger(sent=[sent(1, None, 0, **answer)], windows=fault(20, 30))
    assert kinds(ledger) == ["failure"]


def test_who_is_open_and_not_shown_is_found() -> None:
    shown = Shown(ToUser("u"), frozenset(), Answer(5, 6, 200))
    assert kinds(Ledger(clients=[client()], shown=[shown])) == ["unseen"]


def test_who_was_logged_out_and_is_shown_is_found() -> None:
    ledger = Ledger(
        clients=[client(left=inf, closed=10.5)],
        disconnected=[gone(10)],
        shown=[Shown(ToUser("u"), frozenset(("id-a",)), Answer(11, 12, 200))],
    )
    assert kinds(ledger) == ["ghost"]


@pytest.mark.parametrize("windows", [[], fault(), fault(closes="v"), fault(20, 30, closes="w")])
def test_who_is_closed_though_nobody_asked_for_it_is_found(windows: list[Window]) -> None:
    ledger = Ledger(clients=[client(left=inf, closed=12, code=1012)], windows=windows)
    assert kinds(ledger) == ["hangup"]


def test_a_key_that_is_left_is_found() -> None:
    assert kinds(Ledger(keys={"conn:1", "reaped:w"})) == ["key"]
