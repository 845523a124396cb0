"""The signature of a JWT (RFC 7515); what its payload may say is `dsock.claim.jwt_claim`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import jwt

from dsock.claim import Claim, jwt_claim
from dsock.errors import InvalidJwt, JwtNotEnabled

# A short secret is warned of once, at start (`Settings.warnings`), not at every connect.
warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)

ALGORITHMS = ("HS256", "HS384", "HS512")

# PyJWT looks at dates, but would take strings and booleans for numbers: `jwt_claim` is
# stricter, so only the signature is left to PyJWT.
_OPTIONS: Any = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
    "enforce_minimum_key_length": False,
}


def claim_of_jwt(token: str, secrets: Sequence[str], now: float) -> Claim:
    """The claim in a JWT that one of the secrets has signed.

    Raises `InvalidJwt`, or `JwtNotEnabled` when no secret is set.
    """
    if not secrets:
        raise JwtNotEnabled
    for secret in secrets:
        try:
            decoded = jwt.decode_complete(token, secret, algorithms=ALGORITHMS, options=_OPTIONS)
        except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
            continue
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise InvalidJwt from None
        if "crit" in decoded["header"]:
            raise InvalidJwt
        return jwt_claim(decoded["payload"], now)
    raise InvalidJwt
