"""Rules for the fields of a runner, each with the message that the runner API documents for it."""

import unicodedata
from typing import Any
from urllib.parse import urlsplit

from libs.errors import InvalidArgument

MAX_PAGE = 2_147_483_647
MAX_TAGS = 10


def refused(name: str, message: str) -> InvalidArgument:
    """400 with exactly this message."""
    return InvalidArgument("INVALID_FIELD", message, fields={name: message})


def name_of(value: Any) -> str:
    """1 to 100 code points after trimming, no control characters."""
    if value is None:
        raise refused("name", "name cannot be empty")
    if not isinstance(value, str):
        raise refused("name", "name must be a string")
    name = value.strip()
    if not name:
        raise refused("name", "name cannot be empty")
    if has_control(name):
        raise refused("name", "name contains control characters")
    if len(name) > 100:
        raise refused("name", "name must be at most 100 characters")
    return name


def endpoint_of(value: Any) -> str:
    """http or https with a host; no user info, query or fragment."""
    endpoint = value.strip() if isinstance(value, str) else ""
    if not endpoint or len(endpoint) > 2048 or has_control(endpoint) or not _is_endpoint(endpoint):
        raise refused("endpoint", "invalid endpoint URL format")
    return endpoint


def _is_endpoint(endpoint: str) -> bool:
    try:
        parts = urlsplit(endpoint)
        port_ok = parts.port is None or 1 <= parts.port <= 65535
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or "@" in parts.netloc or "?" in endpoint or "#" in endpoint)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port_ok and plain


def tags_of(value: Any) -> list[str]:
    """Trimmed, without empties and repetitions, at most ten."""
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise refused("tags", "tags must be an array of strings")
    tags = list(dict.fromkeys(tag.strip() for tag in value if tag.strip()))
    if len(tags) > MAX_TAGS:
        raise refused("tags", f"tags must contain at most {MAX_TAGS} items")
    for tag in tags:
        _check_tag(tag)
    return tags


def _check_tag(tag: str) -> None:
    if "," in tag:
        raise refused("tags", "tags must not contain commas")
    if len(tag) > 100:
        raise refused("tags", "tag must be at most 100 characters")
    if has_control(tag):
        raise refused("tags", "tags contains control characters")


def headers_of(value: Any) -> dict[str, str]:
    """An object of strings; which names and values may be sent is the registry's rule."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise refused("headers", "headers must be an object with string values")
    return value


def state_of(value: Any) -> str:
    """`active` or `disabled`."""
    if value not in {"active", "disabled"}:
        raise refused("status", "invalid status: must be one of active, disabled")
    return str(value)


def page_of(text: str | None) -> int:
    """A page number from 1; absent or empty is 1."""
    return _whole(text, 1, MAX_PAGE, "page", "page must be an integer of at least 1", 1)


def per_page_of(text: str | None) -> int:
    """1 to 100; absent or empty is 10."""
    return _whole(text, 1, 100, "per_page", "per_page must be an integer between 1 and 100", 10)


def _whole(text: str | None, low: int, high: int, name: str, message: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text.lstrip("0")) > 10 or not low <= int(text) <= high:
        raise refused(name, message)
    return int(text)


def has_control(text: str) -> bool:
    """Whether any character is a control character."""
    return any(unicodedata.category(character) == "Cc" for character in text)
