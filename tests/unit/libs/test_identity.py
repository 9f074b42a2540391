"""Signed principals."""

import jwt
import pytest

from libs.errors import Unauthenticated
from libs.identity import OPERATOR, TENANT, IdentityKey, Principal
from libs.testing import FakeClock

SECRET = "0123456789abcdef0123456789abcdef"
ADA = Principal("ada", "pro", frozenset({TENANT}), deleted=True)


def test_what_is_signed_is_what_is_verified() -> None:
    key = IdentityKey(SECRET)
    assert key.verify(key.sign(ADA)) == ADA
    assert key.verify(key.sign(Principal("", "", frozenset({OPERATOR})))).is_operator
    assert Principal.service("execution").is_service


async def test_an_identity_expires_with_half_a_minute_of_grace() -> None:
    clock = FakeClock()
    key = IdentityKey(SECRET, clock)
    token = key.sign(ADA, ttl=60)
    await clock.advance(89)
    assert key.verify(token) == ADA
    await clock.advance(2)
    with pytest.raises(Unauthenticated) as caught:
        key.verify(token)
    assert caught.value.reason == "CREDENTIAL_EXPIRED"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        jwt.encode({"aud": "comfyfleet", "sub": "a"}, "another-secret-another-secret-1234", algorithm="HS256"),
        jwt.encode({"aud": "elsewhere", "sub": "a"}, SECRET, algorithm="HS256"),
        jwt.encode({"aud": "comfyfleet", "sub": "a"}, "", algorithm="none"),
    ],
)
def test_forged_identities_are_refused(token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        IdentityKey(SECRET).verify(token)
    assert caught.value.reason == "CREDENTIAL_INVALID"


def test_a_short_secret_is_no_secret() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        IdentityKey("short")
