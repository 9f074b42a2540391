"""Take values out of JSON that strangers wrote, without trusting its shape."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

_NOTHING: Mapping[str, Any] = {}


def read_json(body: bytes | str) -> Any:
    """Parse JSON. ValueError if it is none.

    Python servers also write NaN, Infinity and lone surrogates: the numbers become null, the surrogates "?".
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _read_leniently(body)


def _read_leniently(body: bytes | str) -> Any:
    text = body if isinstance(body, str) else body.decode("utf-8", "replace")
    try:
        value = json.loads(text, parse_constant=lambda _: None)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def mapping(value: object) -> Mapping[str, Any]:
    """Return it if it is an object, else an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def items(value: object) -> list[Any]:
    """Return it if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str | None:
    """Return it if it is a string; numbers become one, since some nodes send their id as a number."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def texts(value: object) -> tuple[str, ...]:
    """Return the strings of a list."""
    return tuple(found for item in items(value) if (found := text(item)) is not None)


def whole(value: object) -> int | None:
    """Return it as an int if it is a number."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def number(value: object) -> float:
    """Return it as a float if it is a number, else 0."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
