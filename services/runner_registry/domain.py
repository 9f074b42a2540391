"""Rules of accounts, tokens and runners. No I/O."""

import hashlib
import ipaddress
import re
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

from libs.errors import InvalidArgument

TOKEN_PREFIX = "cfc_"
_TOKEN_LETTERS = string.ascii_letters + string.digits
_TOKEN_LENGTH = 40
DIGEST_PREFIX = 8  # bytes of a token's digest by which it is looked up

MAX_TAGS = 10
MAX_TAG = 100
MAX_HEADERS = 32
MAX_HEADER_NAME = 128
MAX_HEADER_VALUE = 4096
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Headers that belong to the connection, or that would let a tenant speak in another's name through a proxy.
_FORBIDDEN_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_FORBIDDEN_PREFIXES = ("proxy-", "sec-")

MANAGED_TYPES_OF_TIER: Mapping[str, Sequence[str]] = {
    "free": (),
    "pro": ("pro",),
    "plus": ("pro", "plus"),
    "enterprise": ("pro", "plus"),
}


def new_token() -> str:
    """The secret of a named token."""
    return TOKEN_PREFIX + "".join(secrets.choice(_TOKEN_LETTERS) for _ in range(_TOKEN_LENGTH))


def new_slot_token() -> str:
    """The secret of a slot: a UUID, as the machine API documents it."""
    return str(uuid4())


def digest(secret: str) -> bytes:
    """What is stored of a secret.

    A plain hash is right here: the secrets are random and long, so there is nothing to guess offline and a slow hash
    would only slow every call down.
    """
    return hashlib.sha256(secret.encode()).digest()


def clean_tags(tags: Sequence[str]) -> list[str]:
    """Trimmed, without empties and repetitions. InvalidArgument names `tags`."""
    cleaned = list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    if len(cleaned) > MAX_TAGS:
        raise _invalid("tags", f"tags must contain at most {MAX_TAGS} items")
    for tag in cleaned:
        if "," in tag:
            raise _invalid("tags", "tags must not contain commas")
        if len(tag) > MAX_TAG:
            raise _invalid("tags", f"tag must be at most {MAX_TAG} characters")
        if _CONTROL.search(tag):
            raise _invalid("tags", "tags contains control characters")
    return cleaned


def clean_name(name: str) -> str:
    """Trimmed, 1 to 100 characters, no control characters. InvalidArgument names `name`."""
    cleaned = name.strip()
    if not cleaned:
        raise _invalid("name", "name cannot be empty")
    if _CONTROL.search(cleaned):
        raise _invalid("name", "name contains control characters")
    return cleaned


def clean_endpoint(endpoint: str) -> str:
    """A base URL: http or https, a host, no user info, query or fragment, no address that no runner can have.

    InvalidArgument names `endpoint`. Names are checked again when they are resolved.
    """
    cleaned = endpoint.strip()
    try:
        parts = urlsplit(cleaned)
        port_ok = parts.port is None or 1 <= parts.port <= 65535
    except ValueError:
        raise _bad_endpoint() from None
    plain = not (set("?#@\\") & set(parts.netloc + parts.query + parts.fragment)) and "?" not in cleaned
    if parts.scheme not in {"http", "https"} or not (parts.hostname and port_ok and plain and "#" not in cleaned):
        raise _bad_endpoint()
    if _CONTROL.search(cleaned) or " " in cleaned or _never_a_runner(parts.hostname):
        raise _bad_endpoint()
    return cleaned


def _never_a_runner(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    broadcast = str(mapped) == "255.255.255.255"
    return bool(mapped.is_link_local or mapped.is_unspecified or mapped.is_multicast or broadcast)


def clean_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that may be sent to a runner. InvalidArgument names `headers` and never shows a value."""
    if len(headers) > MAX_HEADERS:
        raise _invalid("headers", f"headers must contain at most {MAX_HEADERS} items")
    if len({name.lower() for name in headers}) != len(headers):
        raise _invalid("headers", "headers must have different names")
    for name, value in headers.items():
        _check_header(name, value)
    return dict(headers)


def _check_header(name: str, value: str) -> None:
    if len(name) > MAX_HEADER_NAME or not _HEADER_NAME.fullmatch(name):
        raise _invalid("headers", "invalid header name")
    if name.lower() in _FORBIDDEN_HEADERS or name.lower().startswith(_FORBIDDEN_PREFIXES):
        raise _invalid("headers", f"header not allowed: {name}")
    if len(value) > MAX_HEADER_VALUE or not _HEADER_VALUE.fullmatch(value):
        raise _invalid("headers", f"invalid value for header {name}")


@dataclass(frozen=True, slots=True)
class ProbeRules:
    """How patient the probes are. Times in seconds."""

    interval: float
    offline_after: int
    offline_after_busy: int
    offline_interval: float


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes know of a runner. `queue_remaining` above zero means that it samples."""

    state: str
    misses: int = 0
    queue_remaining: int = 0
    latency_ms: float = 0
    version: str = ""
    failure: str = ""

    def answered(self, queue_remaining: int, latency_ms: float, version: str) -> "Health":
        """After a probe that was answered."""
        return Health("online", 0, queue_remaining, latency_ms, version or self.version, "")

    def missed(self, failure: str, rules: ProbeRules) -> "Health":
        """After a probe that was not.

        A runner that samples may be too busy to answer for a while, so it is given more chances.
        """
        misses = self.misses + 1
        limit = rules.offline_after_busy if self.queue_remaining else rules.offline_after
        state = "offline" if misses >= limit or self.state == "offline" else self.state
        return Health(state, misses, self.queue_remaining, self.latency_ms, self.version, failure)

    def next_probe(self, rules: ProbeRules) -> timedelta:
        """How long until the next one."""
        return timedelta(seconds=rules.offline_interval if self.state == "offline" else rules.interval)


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument("INVALID_FIELD", message, fields={field: message})


def _bad_endpoint() -> InvalidArgument:
    return _invalid("endpoint", "invalid endpoint URL format")
