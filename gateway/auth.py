"""From a bearer token to an identity: asks the registry, and remembers a good answer for a few seconds."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from comfyfleet.runner_registry.v1.account_pb2 import Tier
from comfyfleet.runner_registry.v1.runner_registry_service_pb2 import (
    AuthenticateRequest,
    AuthenticateResponse,
)
from gateway.backends import Backends
from libs.clock import Clock
from libs.errors import Unauthenticated
from libs.identity import IdentityKey, Principal


@dataclass(frozen=True, slots=True)
class Session:
    """One authenticated caller; `metadata` carries the signed identity to the services."""

    account_id: str
    tier: str
    roles: frozenset[str]
    deleted: bool
    metadata: Sequence[tuple[str, str]]


class Sessions(Protocol):
    """Where endpoints get their caller from."""

    async def of(self, request: Request) -> Session:
        """The caller of a request. Raises Unauthenticated."""
        ...

    def for_account(self, account_id: str) -> Session:
        """The owner of a signed link, who showed no token."""
        ...


def bearer(request: Request) -> str:
    """The token of `Authorization: Bearer <token>`; the scheme word in any case, nothing else accepted."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("CREDENTIAL_INVALID", "Invalid token")
    return token.strip()


class RegistrySessions:
    """Sessions from the registry. A revoked token works for at most `cache_seconds` longer."""

    def __init__(self, backends: Backends, key: IdentityKey, clock: Clock, *, cache_seconds: float, size: int) -> None:
        self._backends = backends
        self._key = key
        self._clock = clock
        self._cache_seconds = cache_seconds
        self._size = size
        self._known: OrderedDict[bytes, tuple[float, Session]] = OrderedDict()

    async def of(self, request: Request) -> Session:
        """The caller of a request. Raises Unauthenticated, or Unavailable when the registry is away."""
        token = bearer(request)
        # The cache never holds the secret itself.
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._clock.monotonic() < known[0]:
            return known[1]
        session = await self._ask(token)
        self._remember(digest, session)
        return session

    def for_account(self, account_id: str) -> Session:
        """An identity for reading what a signed link of this account names."""
        signed = self._key.sign(Principal(account_id, "free", frozenset({"tenant"})), ttl=60)
        return Session(account_id, "free", frozenset({"tenant"}), False, _metadata(signed))

    async def _ask(self, token: str) -> Session:
        answer = await self._backends.registry.Authenticate(AuthenticateRequest(credential=token[:512]))
        return _session(answer)

    def _remember(self, digest: bytes, session: Session) -> None:
        self._known[digest] = (self._clock.monotonic() + self._cache_seconds, session)
        self._known.move_to_end(digest)
        while len(self._known) > self._size:
            self._known.popitem(last=False)


def _session(answer: AuthenticateResponse) -> Session:
    principal = answer.principal
    tier = Tier.Name(principal.tier).removeprefix("TIER_").lower()
    return Session(
        principal.account_id,
        tier,
        frozenset(principal.roles),
        principal.deleted,
        _metadata(answer.access_token),
    )


def _metadata(access_token: str) -> Sequence[tuple[str, str]]:
    return (("authorization", f"Bearer {access_token}"),)
