"""JWTs: what a good one looks like, and the many that are none."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsock.claim import Claim
from dsock.errors import InvalidJwt, MissingAuthentication
from dsock.worker.signature import Signatures

NOW = 1_700_000_000
SECRET = "a secret of sixty-four bytes, as long as the longest digest is.."
OTHER = "another secret of sixty-four bytes, as long as the digest is too"
DIGESTS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def token(
    payload: str, *, alg: Any = "HS256", secret: str = SECRET, digest: str = "HS256", **header: Any
) -> str:
    """A JWT made by hand, since a library would refuse to make most of these."""
    head = json.dumps({"typ": "JWT", "alg": alg, **header})
    return signed(head, payload, secret=secret, digest=digest)


def signed(head: str, payload: str | bytes, *, secret: str = SECRET, digest: str = "HS256") -> str:
    """Any two texts, signed as a JWT is."""
    body = payload.encode() if isinstance(payload, str) else payload
    text = f"{base64(head.encode())}.{base64(body)}"
    signature = hmac.digest(secret.encode(), text.encode(), DIGESTS[digest])
    return f"{text}.{base64(signature)}"


def payload(**changes: Any) -> str:
    return json.dumps({"sub": "u", "exp": NOW + 60, **changes})


def refused(jwt: str, *secrets: str) -> bool:
    with pytest.raises(InvalidJwt):
        Signatures(secrets or (SECRET,)).claim_of(jwt, NOW)
    return True


@pytest.mark.parametrize("alg", DIGESTS)
def test_a_jwt_signed_with_hmac_is_a_claim(alg: str) -> None:
    jwt = token(payload(sid="s", channels=["a", "b"]), alg=alg, digest=alg)
    assert Signatures((SECRET,)).claim_of(jwt, NOW) == Claim("", "u", "s", ("a", "b"), NOW + 60)


@pytest.mark.parametrize("secrets", [(SECRET, OTHER), (OTHER, SECRET)])
def test_while_a_secret_is_replaced_both_are_good(secrets: tuple[str, ...]) -> None:
    assert Signatures(secrets).claim_of(token(payload()), NOW).user == "u"


def test_after_a_secret_was_replaced_the_old_one_is_not_good() -> None:
    assert refused(token(payload()), OTHER)


def test_without_a_secret_a_jwt_is_nothing() -> None:
    with pytest.raises(MissingAuthentication):
        Signatures(()).claim_of(token(payload()), NOW)


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_a_short_secret_does_not_refuse() -> None:
    assert Signatures(("short",)).claim_of(token(payload(), secret="short"), NOW).user == "u"


@pytest.mark.parametrize("secrets", [("",), (SECRET, ""), ("", SECRET)])
def test_an_empty_secret_signs_nothing(secrets: tuple[str, ...]) -> None:
    assert refused(token(payload(), secret=""), *secrets)


@pytest.mark.parametrize(
    "dates",
    [
        {"exp": NOW - 9},
        {"exp": NOW + 0.5},
        {"iat": NOW + 9},
        {"iat": NOW - 3600},
        {"nbf": NOW + 9},
    ],
)
def test_b06_dates_may_be_off_by_ten_seconds(dates: dict[str, float]) -> None:
    assert Signatures((SECRET,)).claim_of(token(payload(**dates)), NOW).user == "u"


@pytest.mark.parametrize("age", [-9, 0, 59])
def test_b04_iat_alone_is_good_for_a_minute(age: int) -> None:
    jwt = token(json.dumps({"sub": "u", "iat": NOW - age}))
    assert Signatures((SECRET,)).claim_of(jwt, NOW).expiration == NOW - age + 60


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"sub": "u"}', id="no exp and no iat"),
        pytest.param(f'{{"sub": "u", "nbf": {NOW}}}', id="nbf alone"),
        pytest.param(f'{{"sub": "u", "iat": {NOW - 61}}}', id="iat 61 s old"),
    ],
)
def test_b04_a_jwt_without_end_is_refused(text: str) -> None:
    assert refused(token(text))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f'{{"exp": {NOW + 60}}}', id="missing"),
        *(
            pytest.param(f'{{"sub": {sub}, "exp": {NOW + 60}}}', id=sub)
            for sub in ['""', "null", "42", "true", '["u"]', "{}", r'"a\n"', r'"\ud800"']
        ),
    ],
)
def test_b05_a_jwt_without_a_user_is_refused(text: str) -> None:
    assert refused(token(text))


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value",
    [
        *("true", "null", '"1700000060"', "[]", "{}"),
        *("NaN", "Infinity", "-Infinity", "1e999", "-1"),
        *("253402300800", "1e12", "1" + "0" * 400, "1" + "0" * 5000),
    ],
    ids=lambda value: value[:20],
)
def test_a_jwt_with_a_date_that_is_none_is_refused(name: str, value: str) -> None:
    # Of a repeated member the last counts.
    assert refused(token(f'{{"sub": "u", "exp": {NOW + 60}, "{name}": {value}}}'))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - 10},
        {"exp": 0},
        {"iat": NOW + 11},
        {"nbf": NOW + 11},
        {"sid": 7},
        {"sid": None},
        {"sid": ["s"]},
        {"sid": "\x00"},
        {"channels": "a"},
        {"channels": "a,b"},
        {"channels": None},
        {"channels": {"a": 1}},
        {"channels": ["a", 1]},
        {"channels": [["a"]]},
        {"channels": ["a", ""]},
        {"channels": ["a,b"]},
    ],
    ids=repr,
)
def test_a_jwt_that_says_something_wrong_is_refused(changes: dict[str, Any]) -> None:
    assert refused(token(payload(**changes)))


@pytest.mark.parametrize(
    "text", ["", "not JSON", "[]", '"u"', "1", "null", "[" * 100_000, "{" + '"a":{' * 50_000]
)
def test_a_payload_that_is_no_object_is_refused(text: str) -> None:
    assert refused(token(text))


@pytest.mark.parametrize(
    "alg",
    [
        *("none", "None", "nOnE", "NONE", "", None, "RS256", "PS256", "ES256", "EdDSA"),
        *("hs256", "HS1", "HS256 ", 256, ["HS256"], {}),
    ],
)
def test_a_jwt_with_another_algorithm_is_refused(alg: Any) -> None:
    assert refused(token(payload(), alg=alg))


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_a_jwt_without_signature_is_refused(alg: str) -> None:
    unsigned, _, _ = token(payload(), alg=alg).rpartition(".")
    assert refused(f"{unsigned}.")


def test_a_jwt_signed_by_another_algorithm_than_it_says_is_refused() -> None:
    assert refused(token(payload(), alg="HS512", digest="HS256"))


@pytest.mark.parametrize("crit", [[], ["exp"], ["b64"], ["unknown"], "exp", None])
def test_a_jwt_with_critical_extensions_is_refused(crit: Any) -> None:
    assert refused(token(payload(), crit=crit))


def test_a_jwt_with_a_payload_that_is_not_encoded_is_refused() -> None:
    assert refused(token(payload(), b64=False, crit=["b64"]))


@pytest.mark.parametrize(
    "garbage",
    [
        *("", ".", "..", "...", "a.b", "a.b.c", "é.é.é", "\udcff.\udcff.\udcff", "{}"),
        *(f"{token(payload())}.x", token(payload()).replace(".", " "), "x" * 10_000),
    ],
)
def test_garbage_is_refused(garbage: str) -> None:
    assert refused(garbage)


@given(st.text())
def test_any_text_that_nobody_signed_is_refused(text: str) -> None:
    assert refused(text)


@given(st.integers(0, len(token(payload()).rpartition(".")[0]) - 1), st.characters())
def test_a_jwt_changed_in_one_place_is_refused(place: int, character: str) -> None:
    good = token(payload())
    changed = good[:place] + character + good[place + 1 :]
    assert changed == good or refused(changed)
