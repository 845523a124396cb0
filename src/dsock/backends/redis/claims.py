"""Claims in Redis. Each step is atomic on one key; their order makes the rest hold:

* a claim id enters its `claim-*` sets before `claim:$id` exists, so nobody who looks for a
  target's claims can miss one that admits somebody;
* a set may hold ids of claims that are gone, or have become another's: the scripts check.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

from dsock import names
from dsock.backends.redis import moments, scripts
from dsock.backends.redis.calls import Calls, Reply
from dsock.backends.redis.claim_sets import ClaimSets
from dsock.backends.redis.keys import Keys
from dsock.claim import Claim, ClaimRequest
from dsock.errors import ClaimExpirationUnreadable, ClaimIdAlreadyUsed, ExpiredClaim
from dsock.target import Target, ToChannel, ToUser

SLICE = 500
"""Claims in one round trip."""


class Claims:
    """Creating, reading, moving, voiding and taking claims."""

    def __init__(self, pipe: Calls, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys
        self._sets = ClaimSets(pipe, keys)

    def close(self) -> None:
        self._sets.close()

    async def create(self, request: ClaimRequest) -> None:
        claim, life = request.claim, max(1, round(request.lifetime * 1000))
        # Most doubles end here, before they leave a trace in the sets.
        if (await self._read((claim.id,)))[0] is not None:
            raise ClaimIdAlreadyUsed
        fields = ["user", claim.user, "expiration", moments.to_text(claim.expiration)]
        if claim.session:
            fields += ["session", claim.session]
        if claim.channels:
            fields += ["channels", claim.channels_text()]
        places = self._places(claim)
        indexed = [self._sets.enter(key, claim.id, life) for key in places]
        # No claim exists that is in none of its sets.
        create = ("EVAL", scripts.CREATE_CLAIM, 1, self._keys.claim(claim.id))
        created = self._pipe.call(*create, life, *fields, once=True, after=indexed)
        *_, is_new = await asyncio.gather(*indexed, created)
        if not is_new:
            raise ClaimIdAlreadyUsed
        self._sets.entered(places)

    async def read(self, id: str) -> Claim | None:
        """Raises `ExpiredClaim` or `ClaimExpirationUnreadable` for a claim that somebody
        else has stored without an end."""
        found = (await self._read((id,)))[0]
        if found is None:
            return None
        claim, milliseconds = found
        if claim.expiration < 0:
            raise ClaimExpirationUnreadable
        if milliseconds == -1 and claim.expiration <= time.time():
            raise ExpiredClaim
        return claim

    async def select(self, target: Target) -> list[Claim]:
        return [claim for claim, _ in await self._select(target) if target.selects(claim)]

    async def void(self, target: Target) -> None:
        claims = [claim for claim, _ in await self._select(target)]
        user = target.user if isinstance(target, ToUser) else ""
        session = (target.session or "") if isinstance(target, ToUser) else ""
        channel = target.channel if isinstance(target, ToChannel) else ""
        for part in _slices(claims):
            voided = await asyncio.gather(
                *(
                    self._pipe.call(
                        *("EVAL", scripts.VOID_CLAIM, 1, self._keys.claim(claim.id)),
                        *(user, session, channel),
                    )
                    for claim in part
                )
            )
            gone: dict[str, list[str]] = {}
            for claim, (done, *channels) in zip(part, voided, strict=True):
                for key in self._places(claim, *channels) if done else ():
                    gone.setdefault(key, []).append(claim.id)
            await self._sets.leave(gone)

    async def move(self, target: Target, channel: str, subscribed: bool) -> None:
        found = [(c, left) for c, left in await self._select(target) if target.selects(c)]
        for part in _slices(found):
            calls = []
            for claim, left in part:
                # Taking it out leaves the set as it is: another may be putting it in.
                key = self._keys.claims_of_channel(channel)
                indexed = [self._sets.enter(key, claim.id, left)] if subscribed else []
                moved = self._pipe.call(
                    *("EVAL", scripts.MOVE_CLAIM, 1, self._keys.claim(claim.id)),
                    *(channel, int(subscribed), claim.user, claim.session or ""),
                    after=indexed,
                )
                calls += [*indexed, moved]
            await asyncio.gather(*calls)

    async def take(self, claim: Claim, after: Iterable[Reply]) -> Claim | bool:
        """`after` opens what whoever voids claims finds the taker by."""
        reply = await self._pipe.call(
            *("EVAL", scripts.TAKE_CLAIM, 1, self._keys.claim(claim.id)),
            *(claim.user, claim.session or "", claim.channels_text()),
            once=True,
            after=after,
        )
        if reply:
            found = _claim(claim.id, reply)
            return found[0] if found else False
        for key in self._places(claim):
            # Only tidying: who looks the claim up finds it gone.
            self._pipe.call("SREM", key, claim.id).add_done_callback(_ignore)
        return True

    async def _select(self, target: Target) -> list[tuple[Claim, int]]:
        key = self._keys.claims_of(target)
        if key is None:
            return []
        ids = sorted(id for id in await self._pipe.call("SMEMBERS", key) if id != "0")
        found = [one for part in _slices(ids) for one in await self._read(part) if one]
        return [(claim, left) for claim, left in found if target.selects(claim)]

    async def _read(self, ids: Sequence[str]) -> list[tuple[Claim, int] | None]:
        calls = [self._pipe.call("EVAL", scripts.READ_CLAIM, 1, self._keys.claim(id)) for id in ids]
        replies = await asyncio.gather(*calls)
        return [_claim(id, reply) for id, reply in zip(ids, replies, strict=True)]

    def _places(self, claim: Claim, channels: str = "") -> list[str]:
        keys = [self._keys.claims_of_user(claim.user)]
        if claim.session:
            keys.append(self._keys.claims_of_session(claim.user, claim.session))
        in_channels = names.merged(claim.channels, filter(None, channels.split(",")))
        return keys + [self._keys.claims_of_channel(channel) for channel in in_channels]


def _claim(id: str, reply: Sequence[Any]) -> tuple[Claim, int] | None:
    """A claim as `read_claim.lua` returns it, and the milliseconds that it has left. An
    expiration that cannot be read becomes -1."""
    fields = dict(zip(reply[1::2], reply[2::2], strict=True))
    if not fields.get("user"):
        return None
    expiration = moments.to_seconds(fields.get("expiration"))
    channels = names.merged(filter(None, fields.get("channels", "").split(",")))
    claim = Claim(
        id=id,
        user=fields["user"],
        session=fields.get("session") or None,
        channels=channels,
        expiration=-1 if expiration is None else expiration,
    )
    return claim, int(reply[0])


def _slices(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + SLICE] for start in range(0, len(items), SLICE)]


def _ignore(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
