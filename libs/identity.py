"""Who acts: a principal, signed so that every service can check it without asking anybody."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import jwt

from libs.clock import Clock, SystemClock
from libs.errors import Unauthenticated

TENANT = "tenant"
OPERATOR = "operator"
SERVICE = "service"

_ALGORITHM = "HS256"
_AUDIENCE = "comfyfleet"
_SKEW = timedelta(seconds=30)  # clocks of hosts may differ this much
_MIN_SECRET = 32  # bytes; HS256 is as strong as its secret


@dataclass(frozen=True, slots=True)
class Principal:
    """The account, operator or service on whose behalf a call is made."""

    account_id: str
    tier: str
    roles: frozenset[str]
    deleted: bool = False

    @property
    def is_operator(self) -> bool:
        """May act on every account."""
        return OPERATOR in self.roles

    @property
    def is_service(self) -> bool:
        """Is one of our own processes."""
        return SERVICE in self.roles

    @classmethod
    def service(cls, name: str) -> "Principal":
        """One of our own processes."""
        return cls(account_id="", tier="", roles=frozenset({SERVICE, f"service:{name}"}))


class IdentityKey:
    """Signs and checks principals with a secret that all services share."""

    def __init__(self, secret: str, clock: Clock | None = None) -> None:
        """ValueError for a secret shorter than 32 bytes."""
        if len(secret.encode()) < _MIN_SECRET:
            raise ValueError(f"the identity key must have at least {_MIN_SECRET} bytes")
        self._secret = secret
        self._clock = clock or SystemClock()

    def sign(self, principal: Principal, ttl: float = 300) -> str:
        """A token that proves the principal for `ttl` seconds."""
        claims = {
            "aud": _AUDIENCE,
            "sub": principal.account_id,
            "tier": principal.tier,
            "roles": sorted(principal.roles),
            "deleted": principal.deleted,
            "exp": self._clock.now() + timedelta(seconds=ttl),
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def verify(self, token: str) -> Principal:
        """The principal that was signed. Raises Unauthenticated: CREDENTIAL_INVALID or CREDENTIAL_EXPIRED."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"verify_exp": False},
            )
        except jwt.InvalidTokenError as error:
            raise Unauthenticated("CREDENTIAL_INVALID", "the identity is not valid") from error
        if claims.get("exp", 0) + _SKEW.total_seconds() < self._clock.now().timestamp():
            raise Unauthenticated("CREDENTIAL_EXPIRED", "the identity has expired")
        return Principal(claims["sub"], claims["tier"], _roles(claims["roles"]), bool(claims.get("deleted")))


def _roles(claimed: Iterable[str]) -> frozenset[str]:
    return frozenset(map(str, claimed))
