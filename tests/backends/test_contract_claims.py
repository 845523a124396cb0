"""What every backend promises about claims: `dsock.backends.base`, without HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import pytest

from dsock.backends.base import Backend
from dsock.claim import Claim, ClaimRequest
from dsock.errors import ClaimIdAlreadyUsed
from dsock.target import Target, ToChannel, ToConnection, ToUser
from tests.support.eventually import eventually
from tests.support.recorder import Member

LIFETIME = 60.0

CLAIMS = [
    Claim("claim-a", "a", None, ("news", "sport"), 0),
    Claim("claim-a-b-c", "a", "b-c", ("new",), 0),
    Claim("claim-a-b", "a-b", "c", ("news",), 0),
    Claim("claim-b", "b", "c", (), 0),
    Claim("claim-c", "c:d", "b", ("a.*%", "-"), 0),
]
TARGETS: list[tuple[Target, list[int]]] = [
    (ToUser("a"), [0, 1]),
    (ToUser("a", "b-c"), [1]),
    (ToUser("a-b"), [2]),
    (ToUser("a-b", "c"), [2]),
    (ToUser("a", "b"), []),
    (ToUser("c:d", "b"), [4]),
    (ToUser("c"), []),
    (ToUser("nobody"), []),
    (ToChannel("news"), [0, 2]),
    (ToChannel("new"), [1]),
    (ToChannel("ne"), []),
    (ToChannel("a.*%"), [4]),
    (ToChannel(".*"), []),
    (ToChannel("-"), [4]),
    (ToConnection("claim-a"), []),
]
by_target = pytest.mark.parametrize(("target", "selected"), TARGETS, ids=repr)


def wanted(claim: Claim, lifetime: float = LIFETIME) -> ClaimRequest:
    expiration = int(time.time() + lifetime)
    return ClaimRequest(
        Claim(claim.id, claim.user, claim.session, claim.channels, expiration), lifetime
    )


def claim_of(user: str, id: str = "claim-id", *channels: str) -> ClaimRequest:
    return wanted(Claim(id, user, None, channels, 0))


async def create_all(backend: Backend) -> list[Claim]:
    requests = [wanted(claim) for claim in CLAIMS]
    for request in requests:
        await backend.create_claim(request)
    return [request.claim for request in requests]


async def stored(backend: Backend, claims: Iterable[Claim]) -> list[Claim | None]:
    return [await backend.read_claim(claim.id) for claim in claims]


async def test_a_claim_reads_as_it_was_created(backend: Backend) -> None:
    claims = await create_all(backend)
    assert await stored(backend, claims) == claims
    assert await stored(backend, claims) == claims


async def test_a_claim_that_never_was_reads_as_nothing(backend: Backend) -> None:
    assert await backend.read_claim("claim-id") is None


async def test_an_id_in_use_is_refused_and_its_claim_stays_as_it_is(backend: Backend) -> None:
    first = claim_of("first", "claim-id", "news")
    await backend.create_claim(first)
    with pytest.raises(ClaimIdAlreadyUsed):
        await backend.create_claim(claim_of("second"))
    assert await backend.read_claim("claim-id") == first.claim
    assert (await backend.info(ToUser("second"))).claims == []


async def test_b52_of_50_concurrent_creations_with_one_id_one_wins(backend: Backend) -> None:
    requests = [claim_of(f"user-{n}", "claim-id", f"channel-{n}") for n in range(50)]
    results = await asyncio.gather(
        *(backend.create_claim(request) for request in requests), return_exceptions=True
    )
    winner = results.index(None)
    assert [type(result) for result in results].count(ClaimIdAlreadyUsed) == 49
    assert await backend.read_claim("claim-id") == requests[winner].claim
    for n, request in enumerate(requests):
        found = [request.claim] if n == winner else []
        assert (await backend.info(ToUser(f"user-{n}"))).claims == found
        assert (await backend.info(ToChannel(f"channel-{n}"))).claims == found


async def test_b35_a_claim_lives_as_long_as_was_asked_for(backend: Backend) -> None:
    start = time.monotonic()
    await backend.create_claim(wanted(CLAIMS[0], lifetime=1.0))
    created = time.monotonic()
    async with asyncio.timeout(20):
        asked = time.monotonic()
        while await backend.read_claim(CLAIMS[0].id):
            # It was there at some time between question and answer.
            assert asked - created < 1.1
            await asyncio.sleep(0)
            asked = time.monotonic()
    assert time.monotonic() - start > 0.9
    assert (await backend.info(ToUser("a"))).claims == []
    assert (await backend.info(ToChannel("news"))).claims == []


async def test_the_id_of_an_expired_claim_is_free(backend: Backend, members: list[Member]) -> None:
    old, new = wanted(CLAIMS[0], lifetime=0.05), wanted(CLAIMS[3])
    await backend.create_claim(old)

    async def has_expired() -> bool:
        return await backend.read_claim(old.claim.id) is None

    await eventually(has_expired)
    assert await members[0].membership.take(old.claim) is False
    await backend.create_claim(claim_of("heir", old.claim.id))
    await backend.void_claims(ToUser("a"))
    await backend.void_claims(ToChannel("news"))
    assert [claim.id for claim in (await backend.info(ToUser("heir"))).claims] == [old.claim.id]
    assert await backend.read_claim(new.claim.id) is None


@by_target
async def test_b59_b62_voiding_ends_the_claims_of_the_target_and_no_other(
    backend: Backend, target: Target, selected: list[int]
) -> None:
    claims = await create_all(backend)
    await backend.void_claims(target)
    left = [None if n in selected else claim for n, claim in enumerate(claims)]
    assert await stored(backend, claims) == left
    assert (await backend.info(target)).claims == []
    for claim in claims:
        assert (claim in (await backend.info(ToUser(claim.user))).claims) == (claim in left)


@by_target
async def test_b59_info_has_the_claims_of_the_target_and_no_other(
    backend: Backend, target: Target, selected: list[int]
) -> None:
    claims = await create_all(backend)
    found = (await backend.info(target)).claims
    assert sorted(claim.id for claim in found) == sorted(claims[n].id for n in selected)
    assert all(claim in claims for claim in found)


@by_target
async def test_moving_changes_the_claims_of_the_target_and_no_other(
    backend: Backend, target: Target, selected: list[int]
) -> None:
    claims = await create_all(backend)
    await backend.move_claims(target, "moved", subscribed=True)
    moved = [c.with_channel("moved", n in selected) for n, c in enumerate(claims)]
    assert await stored(backend, claims) == moved
    found = (await backend.info(ToChannel("moved"))).claims
    assert sorted(claim.id for claim in found) == sorted(claims[n].id for n in selected)
    await backend.move_claims(target, "moved", subscribed=False)
    assert await stored(backend, claims) == claims
    assert (await backend.info(ToChannel("moved"))).claims == []


async def test_moving_into_a_channel_twice_changes_nothing_the_second_time(
    backend: Backend,
) -> None:
    await backend.create_claim(claim_of("user", "claim-id", "a", "b"))
    for channel in ("a", "c", "b", "c"):
        await backend.move_claims(ToUser("user"), channel, subscribed=True)
    claim = await backend.read_claim("claim-id")
    assert claim is not None
    assert claim.channels == ("a", "b", "c")


async def test_b76_no_one_of_100_concurrent_moves_is_lost(backend: Backend) -> None:
    await backend.create_claim(claim_of("user"))
    channels = [f"channel-{n}" for n in range(100)]
    await asyncio.gather(
        *(backend.move_claims(ToUser("user"), name, subscribed=True) for name in channels)
    )
    claim = await backend.read_claim("claim-id")
    assert claim is not None
    assert sorted(claim.channels) == sorted(channels)


async def test_b51_a_claim_with_the_id_0_belongs_to_its_own_user_alone(backend: Backend) -> None:
    zero = claim_of("owner", "0", "news")
    await backend.create_claim(zero)
    await backend.create_claim(claim_of("other", "claim-id", "sport"))
    for target in (ToUser("other"), ToUser("other", "s"), ToChannel("sport")):
        assert zero.claim not in (await backend.info(target)).claims
        await backend.move_claims(target, "moved", subscribed=True)
        await backend.void_claims(target)
    assert await backend.read_claim("0") == zero.claim


async def test_whoever_takes_an_unchanged_claim_uses_it_up(
    backend: Backend, members: list[Member]
) -> None:
    claims = await create_all(backend)
    for n, claim in enumerate(claims):
        assert await members[n % 2].membership.take(claim) is True
    assert await stored(backend, claims) == [None] * len(claims)
    for claim in claims:
        assert (await backend.info(ToUser(claim.user))).claims == []


async def test_b01_of_two_takers_one_gets_the_claim(
    backend: Backend, members: list[Member]
) -> None:
    for n in range(100):
        request = claim_of("user", f"claim-{n}", "news")
        await backend.create_claim(request)
        taken = await asyncio.gather(*(member.membership.take(request.claim) for member in members))
        assert sorted(map(bool, taken)) == [False, True]
        assert True in taken


@pytest.mark.parametrize(
    ("channel", "subscribed", "now"), [("c", True, ("a", "b", "c")), ("a", False, ("b",))]
)
async def test_taking_a_changed_claim_says_how_it_reads_now_and_uses_nothing_up(
    backend: Backend, members: list[Member], channel: str, subscribed: bool, now: tuple[str, ...]
) -> None:
    request = claim_of("user", "claim-id", "a", "b")
    await backend.create_claim(request)
    await backend.move_claims(ToUser("user"), channel, subscribed)
    changed = await members[0].membership.take(request.claim)
    assert isinstance(changed, Claim)
    assert changed.channels == now
    assert await backend.read_claim("claim-id") == changed
    assert await members[1].membership.take(changed) is True
    assert await members[0].membership.take(changed) is False


async def test_another_claim_under_the_same_id_is_not_taken(
    backend: Backend, members: list[Member]
) -> None:
    old, new = claim_of("old"), claim_of("new")
    await backend.create_claim(old)
    await backend.void_claims(ToUser("old"))
    await backend.create_claim(new)
    assert await members[0].membership.take(old.claim) == new.claim
    assert await backend.read_claim("claim-id") == new.claim


async def test_b61_a_claim_that_was_voided_admits_nobody(
    backend: Backend, members: list[Member]
) -> None:
    for n in range(50):
        request = claim_of("user", f"claim-{n}", "news")
        await backend.create_claim(request)
        target = ToUser("user") if n % 2 else ToChannel("news")
        taken, _ = await asyncio.gather(
            members[n % 2].membership.take(request.claim), backend.void_claims(target)
        )
        assert isinstance(taken, bool)
        assert await members[n % 2].membership.take(request.claim) is False


async def test_b76_a_move_that_races_a_take_does_not_revive_the_claim(
    backend: Backend, members: list[Member]
) -> None:
    for n in range(50):
        request = claim_of("user", f"claim-{n}")
        await backend.create_claim(request)
        taken, _ = await asyncio.gather(
            members[n % 2].membership.take(request.claim),
            backend.move_claims(ToUser("user"), "news", subscribed=True),
        )
        if isinstance(taken, Claim):
            assert taken == request.claim.with_channel("news", True)
            assert await members[0].membership.take(taken) is True
        assert await backend.read_claim(f"claim-{n}") is None
    assert (await backend.info(ToChannel("news"))).claims == []


async def test_claims_created_while_others_are_voided_are_found_or_gone(backend: Backend) -> None:
    requests = [claim_of("user", f"claim-{n}", "news") for n in range(60)]
    await asyncio.gather(
        *(backend.create_claim(request) for request in requests[:30]),
        backend.void_claims(ToUser("user")),
        *(backend.create_claim(request) for request in requests[30:]),
    )
    alive = [c for c in await stored(backend, (r.claim for r in requests)) if c]
    for target in (ToUser("user"), ToChannel("news")):
        found = (await backend.info(target)).claims
        assert sorted(claim.id for claim in found) == sorted(claim.id for claim in alive)
