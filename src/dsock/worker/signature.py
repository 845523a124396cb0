"""The signature of a JWT (RFC 7515); what its payload may say is `dsock.claim.jwt_claim`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

import jwt
from jwt.algorithms import HMACAlgorithm

from dsock.claim import Claim, jwt_claim
from dsock.errors import InvalidJwt, JwtNotEnabled

# A short secret is warned of once, at start (`Settings.warnings`), not at every connect.
warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)

ALGORITHMS = {
    "HS256": HMACAlgorithm.SHA256,
    "HS384": HMACAlgorithm.SHA384,
    "HS512": HMACAlgorithm.SHA512,
}


class _Hmac(HMACAlgorithm):
    """HMAC that looks at a secret once. Whether that is a public key by mistake takes longer
    to find out than the signature of a token."""

    def __init__(self, hash_alg: Any) -> None:
        super().__init__(hash_alg)
        self._prepared: dict[str | bytes, bytes] = {}

    def prepare_key(self, key: str | bytes) -> bytes:
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = super().prepare_key(key)
        return prepared


class Signatures:
    """Reads JWTs that one of these secrets has signed.

    Only the signature is left to PyJWT: it looks at dates, but would take strings and
    booleans for numbers, and `jwt_claim` is stricter.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._jws = jwt.PyJWS(algorithms=[])
        for name, hash_alg in ALGORITHMS.items():
            self._jws.register_algorithm(name, _Hmac(hash_alg))

    def claim_of(self, token: str, now: float) -> Claim:
        """The claim in a JWT. Raises `InvalidJwt`, or `JwtNotEnabled` when there is no
        secret."""
        if not self._secrets:
            raise JwtNotEnabled
        for secret in self._secrets:
            try:
                decoded = self._jws.decode_complete(token, secret, algorithms=list(ALGORITHMS))
                payload = json.loads(decoded["payload"])
            except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
                continue
            except (jwt.PyJWTError, ValueError, RecursionError):
                raise InvalidJwt from None
            if "crit" in decoded["header"] or not isinstance(payload, dict):
                raise InvalidJwt
            return jwt_claim(payload, now)
        raise InvalidJwt
