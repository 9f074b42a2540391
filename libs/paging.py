"""Page tokens: opaque to callers, a JSON value to the store that made them."""

import base64
import binascii
from typing import Any

import orjson

from libs.errors import InvalidArgument

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500


def page_size(asked: int, *, default: int = DEFAULT_PAGE_SIZE, most: int = MAX_PAGE_SIZE) -> int:
    """0 means the default, more than the limit means the limit (AIP-158). InvalidArgument below 0."""
    if asked < 0:
        raise InvalidArgument("INVALID_FIELD", "page_size must not be negative", fields={"page_size": "negative"})
    return min(asked or default, most)


def encode_page_token(position: Any) -> str:
    """Make a token of any JSON value, usually the sort key of the last row of the page."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def decode_page_token(token: str) -> Any:
    """Read a token back; None for the empty token (first page). InvalidArgument for one that we did not make."""
    if not token:
        return None
    try:
        return orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as unreadable:
        raise _invalid_token() from unreadable


def _invalid_token() -> InvalidArgument:
    return InvalidArgument(
        "PAGE_TOKEN_INVALID",
        "the page token is not one that this call gave out",
        fields={"page_token": "unknown"},
    )
