"""The single-use right to connect, and how long it lasts.

A JWT (RFC 7519) is a claim nobody stored: `jwt_claim` reads its payload by the same rules.
"""

from __future__ import annotations

import math
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dsock import names
from dsock.errors import (
    DsockError,
    InvalidDuration,
    InvalidExpiration,
    InvalidJwt,
    NegativeDuration,
    NegativeExpiration,
    UserIdRequired,
)

DEFAULT_DURATION = 60
"""Seconds a claim lives when the caller does not say."""

YEAR_10000 = 253_402_300_800
"""Seconds from epoch of 10000-01-01T00:00:00Z: RFC 3339 ends there."""

JWT_LEEWAY = 10
"""Seconds by which the clocks of issuer and worker may differ."""

JWT_LIFETIME = 60
"""Seconds that a JWT with `iat` and without `exp` lives."""

_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Claim:
    """`expiration` is in whole seconds from epoch; a JWT's claim has the empty id."""

    id: str
    user: str
    session: str | None
    channels: tuple[str, ...]
    expiration: int

    def with_channel(self, channel: str, subscribed: bool) -> Claim:
        """This claim in the channel, or out of it."""
        if subscribed:
            return replace(self, channels=names.merged(self.channels, (channel,)))
        return replace(self, channels=tuple(c for c in self.channels if c != channel))

    def channels_text(self) -> str:
        """The channels as Redis keeps them: joined by commas."""
        return ",".join(self.channels)


def new_claim_id() -> str:
    """A fresh claim id with 189 bits or more from the system's random source. It begins with
    no hyphen: command lines would take it for an option."""
    return secrets.choice(_LETTERS) + secrets.token_urlsafe(23)


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What a caller asked for: the claim, and its life in seconds from now."""

    claim: Claim
    lifetime: float


def claim_request(parameter: Callable[[str], str | None], now: float) -> ClaimRequest:
    """The claim that the parameters of `POST /claim` ask for at the time `now`.

    Raises `UserIdRequired`, `InvalidUser`, `InvalidSession`, `InvalidChannel`,
    `InvalidClaimId`, and for times `InvalidExpiration`, `NegativeExpiration`,
    `InvalidDuration`, `NegativeDuration`.
    """
    user = parameter("user")
    if not user:
        raise UserIdRequired
    user = names.user_name(user)
    session = parameter("session")
    if session:
        names.session_name(session)
    channels = names.channel_list(parameter("channels") or "")
    expiration, lifetime = _life(parameter("expiration"), parameter("duration"), now)
    wanted = parameter("id")
    return ClaimRequest(
        Claim(
            id=names.claim_id(wanted) if wanted else new_claim_id(),
            user=user,
            session=session or None,
            channels=channels,
            expiration=expiration,
        ),
        lifetime,
    )


def _life(expiration: str | None, duration: str | None, now: float) -> tuple[int, float]:
    if expiration:
        end = _seconds(expiration, InvalidExpiration, NegativeExpiration)
        if not now < end < YEAR_10000:
            raise InvalidExpiration
        return end, end - now
    seconds = DEFAULT_DURATION
    if duration:
        seconds = _seconds(duration, InvalidDuration, NegativeDuration)
    if now + seconds >= YEAR_10000:
        raise InvalidDuration
    return math.floor(now + seconds), float(seconds)


def _seconds(text: str, invalid: type[DsockError], negative: type[DsockError]) -> int:
    digits = text[1:] if text[:1] in "+-" else text
    # Twelve digits reach past the year 10000; int() would also take "1_000" and " 1".
    if not (digits.isascii() and digits.isdigit()):
        raise invalid
    if text[0] == "-" or not digits.strip("0"):
        raise negative
    if len(digits.lstrip("0")) > 12:
        raise invalid
    return int(digits)


def jwt_claim(payload: Any, now: float) -> Claim:
    """The claim in the payload of a JWT whose signature is good.

    `sub` is required; `exp` or `iat` is; `nbf` is honoured; a date may be off by
    `JWT_LEEWAY`. Raises `InvalidJwt`.
    """
    if not isinstance(payload, dict):
        raise InvalidJwt
    try:
        user = names.user_name(_text(payload["sub"]))
        session = names.session_name(_text(payload["sid"])) if payload.get("sid") else None
        channels = payload.get("channels", [])
        if not isinstance(channels, list) or not isinstance(payload.get("sid", ""), str):
            raise InvalidJwt
        channels = names.merged(names.channel_name(_text(name)) for name in channels)
    except (KeyError, DsockError):
        raise InvalidJwt from None
    issued, expires, starts = (_date(payload, name) for name in ("iat", "exp", "nbf"))
    if expires is None:
        if issued is None:
            raise InvalidJwt
        expires = issued + JWT_LIFETIME
        # Without leeway: the 60 seconds are ours, not the issuer's clock's.
        if now >= expires:
            raise InvalidJwt
    if now >= expires + JWT_LEEWAY or any(
        date is not None and date > now + JWT_LEEWAY for date in (issued, starts)
    ):
        raise InvalidJwt
    return Claim("", user, session, channels, math.floor(expires))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidJwt
    return value


def _date(payload: dict[str, Any], name: str) -> float | None:
    if name not in payload:
        return None
    value = payload[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidJwt
    if not 0 <= value < YEAR_10000:  # neither is NaN
        raise InvalidJwt
    return value
