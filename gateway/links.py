"""Signed links: an asset's bytes for whoever holds the link, for a short time, without a token."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from libs.clock import Clock

_AUDIENCE = "comfyfleet-link"


@dataclass(frozen=True, slots=True)
class Link:
    """Path and query of a link, and when it stops working."""

    path: str
    expire_time: datetime


class LinkSigner:
    """Makes and checks the `key` of asset links. One shared secret for all gateway replicas."""

    def __init__(self, secret: str, lifetime: timedelta, clock: Clock) -> None:
        self._secret = secret
        self._lifetime = lifetime
        self._clock = clock

    def content(self, asset_id: str, account_id: str) -> Link:
        """The link to an asset's bytes."""
        expire_time = self._clock.now() + self._lifetime
        claims = {"aud": _AUDIENCE, "sub": asset_id, "account": account_id, "exp": expire_time}
        key = jwt.encode(claims, self._secret, algorithm="HS256")
        return Link(f"/api/v2/assets/{asset_id}/content?key={key}", expire_time)

    def account_of(self, key: str, asset_id: str) -> str | None:
        """The account whose asset the key opens; None when it is forged, expired or for another asset."""
        try:
            claims = jwt.decode(
                key, self._secret, algorithms=["HS256"], audience=_AUDIENCE, options={"verify_exp": False}
            )
        except jwt.InvalidTokenError:
            return None
        fresh = claims.get("exp", 0) > self._clock.now().timestamp()
        return str(claims["account"]) if fresh and claims.get("sub") == asset_id else None
