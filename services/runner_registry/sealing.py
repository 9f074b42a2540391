"""Runner headers at rest: encrypted with a key that is not in the database."""

import base64
import hashlib
from collections.abc import Mapping

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class SealBroken(Exception):
    """The headers were sealed with a key that this process does not have."""


class Seal:
    """Encrypts with the first secret, reads with any: to change keys, put the new one in front."""

    def __init__(self, secrets: str) -> None:
        """One or more secrets, separated by commas, each of at least 32 characters."""
        parts = [part.strip() for part in secrets.split(",")]
        if any(len(part) < 32 for part in parts):
            raise ValueError("an encryption key must have at least 32 characters")
        self._fernet = MultiFernet([Fernet(_key(part)) for part in parts])

    def close(self, headers: Mapping[str, str]) -> bytes:
        """Headers as they are stored."""
        return self._fernet.encrypt(orjson.dumps(dict(headers)))

    def open(self, sealed: bytes) -> dict[str, str]:
        """Headers as they are sent. Raises SealBroken."""
        try:
            headers: dict[str, str] = orjson.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise SealBroken("runner headers were sealed with another key") from None
        return headers


def _key(secret: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest())
