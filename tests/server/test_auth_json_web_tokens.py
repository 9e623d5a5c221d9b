"""JWTs: whose they are, and every reason not to take one."""

import base64
import hashlib
import hmac
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import RSAKey

from server.sidecar.identity import Identity
from server.sidecar.json_web_tokens import LEEWAY_SECONDS, JsonWebTokens
from server.sidecar.refusal import Refusal
from tests.server.signing import HOUR, OTHER_SECRET, SECRET, claims, forged, sign


def refusal(token: str, tokens: JsonWebTokens | None = None) -> str:
    """The reason why a token is not taken."""
    with pytest.raises(Refusal) as refused:
        (tokens or JsonWebTokens([SECRET])).bearer(token)
    assert SECRET not in str(refused.value)
    assert token not in str(refused.value)
    return refused.value.reason


def test_a_token_says_who_and_what_role() -> None:
    tokens = JsonWebTokens([SECRET])
    assert tokens.bearer(sign(claims())) == Identity("deployer", "editor")
    assert tokens.bearer(sign(claims(role="viewer", extra={"a": 1}))) == Identity("deployer", "viewer")
    scoped = claims(services=["team-*", "checkout"])
    assert tokens.bearer(sign(scoped)) == Identity("deployer", "editor", ("team-*", "checkout"))


def test_a_token_ends() -> None:
    assert refusal(sign(claims(exp=time.time() - LEEWAY_SECONDS - 1))) == "expired"
    assert refusal(sign(claims(exp=0))) == "expired"


def test_a_token_is_not_taken_before_its_time() -> None:
    assert refusal(sign(claims(nbf=time.time() + LEEWAY_SECONDS + 5))) == "not-yet-valid"
    assert JsonWebTokens([SECRET]).bearer(sign(claims(nbf=time.time() - 1))).name == "deployer"


def test_clocks_may_differ_a_little() -> None:
    now = time.time()
    for times in ({"exp": now - LEEWAY_SECONDS / 2, "nbf": now - HOUR}, {"nbf": now + LEEWAY_SECONDS / 2}):
        assert JsonWebTokens([SECRET]).bearer(sign(claims(**times))).name == "deployer"


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"nbf": "now"},
        {"nbf": True},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "two\nlines"},
        {"sub": " deployer"},
        {"sub": "x" * 257},
        {"sub": "admin"},
        {"role": None},
        {"role": "root"},
        {"role": "Admin"},
        {"role": ["admin"]},
        {"services": "team-*"},
        {"services": []},
        {"services": [7]},
        {"services": [""]},
        {"services": ["x"] * 101},
        {"role": "admin", "services": ["team-*"]},
        {"role": "viewer", "services": ["team-*"]},
    ],
)
def test_a_token_without_the_claims_that_it_needs_is_refused(changed: dict[str, Any]) -> None:
    assert refusal(sign(claims(**changed))) == "bad-claims"


def test_no_limit_is_what_is_left_out_and_not_what_is_null() -> None:
    assert refusal(sign({**claims(), "services": None})) == "bad-claims"


def test_issuer_and_audience_are_checked_when_they_are_set() -> None:
    tokens = JsonWebTokens([SECRET], "https://issuer", "tracing-config")
    good = claims(iss="https://issuer", aud=["other", "tracing-config"])
    assert tokens.bearer(sign(good)) == Identity("deployer", "editor")
    bad: dict[str, list[Any]] = {"iss": [None, "", "https://issuer/"], "aud": [None, "other", [], ""]}
    for claim, values in bad.items():
        for value in values:
            assert refusal(sign({**good, claim: value}), tokens) == "bad-claims"


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_the_right_secret_under_another_algorithm_is_refused(algorithm: str) -> None:
    assert refusal(sign(claims(), algorithm=algorithm)) == "unknown-token"


def test_what_a_token_says_of_its_algorithm_is_not_believed() -> None:
    good = sign(claims())
    for algorithm in ("none", "None", "NONE", "", "HS512", "RS256", "ES256", None, 7, ["HS256"]):
        for signed in ("", good):
            assert refusal(forged({"alg": algorithm}, claims(), signed)) == "unknown-token"


def test_a_header_of_a_public_key_algorithm_over_a_signature_by_the_secret_is_refused() -> None:
    unsigned = forged({"alg": "RS256", "typ": "JWT"}, claims()).rstrip(".")
    signature = hmac.digest(SECRET.encode(), unsigned.encode(), hashlib.sha256)
    assert refusal(f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}") == "unknown-token"


def test_a_token_signed_by_a_public_key_algorithm_is_refused() -> None:
    key = RSAKey.generate_key(2048)
    assert refusal(jwt.encode({"alg": "RS256"}, claims(), key, algorithms=["RS256"])) == "unknown-token"


def test_other_claims_under_the_signature_of_a_good_token_are_refused() -> None:
    good = sign(claims(role="viewer"))
    assert refusal(forged({"typ": "JWT", "alg": "HS256"}, claims(role="admin"), good)) == "unknown-token"
    assert refusal(good[:-4]) == "unknown-token"
    assert refusal(good.rpartition(".")[0] + ".") == "unknown-token"


def test_secrets_rotate_without_a_gap() -> None:
    old, new = sign(claims(), SECRET), sign(claims(), OTHER_SECRET)
    assert refusal(new, JsonWebTokens([SECRET])) == "unknown-token"
    both = JsonWebTokens([OTHER_SECRET, SECRET])
    assert both.bearer(old) == both.bearer(new) == Identity("deployer", "editor")
    assert refusal(old, JsonWebTokens([OTHER_SECRET])) == "unknown-token"


def test_a_header_that_is_nested_too_deeply_is_refused() -> None:
    nested = base64.urlsafe_b64encode(b"[" * 3000).decode()
    assert refusal(f"{nested}.e30.e30") == "unknown-token"


@given(st.lists(st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode)), min_size=3, max_size=3))
def test_garbage_is_refused(parts: list[bytes]) -> None:
    assert refusal(".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)) == "unknown-token"
    assert refusal(".".join(part.decode("latin-1") for part in parts) + ".") == "unknown-token"
