"""Secrets that tests share, and identities made with them."""

from pydantic import SecretStr

from libs.identity import OPERATOR, TENANT, IdentityKey, Principal

IDENTITY = "identity-key-for-tests-0123456789abcdef"
ENCRYPTION = "encryption-key-for-tests-0123456789abcdef"
LINKS = "link-key-for-tests-0123456789abcdef"
ADMIN = "admin-key-for-tests"
IDENTITY_SECRET, ENCRYPTION_SECRET, LINKS_SECRET, ADMIN_SECRET = map(SecretStr, (IDENTITY, ENCRYPTION, LINKS, ADMIN))


def sign(principal: Principal) -> str:
    """A signed identity."""
    return IdentityKey(IDENTITY).sign(principal)


def tenant(account_id: str, tier: str = "enterprise", *, deleted: bool = False) -> str:
    """A signed tenant."""
    return sign(Principal(account_id, tier, frozenset({TENANT}), deleted))


def operator() -> str:
    """A signed operator."""
    return sign(Principal("", "", frozenset({OPERATOR})))


def service(name: str = "test") -> str:
    """A signed service."""
    return sign(Principal.service(name))
