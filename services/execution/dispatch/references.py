"""Asset references in a graph, and the runner's own names that replace them. Pure."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

_ASSET_TYPE = "core/ASSET"
_MAX_SUFFIX = 9


def referenced(graph: Mapping[str, Any]) -> frozenset[UUID]:
    """The assets that the graph reads."""
    return frozenset(asset_of(item) for item in _objects(graph) if is_reference(item))


def replaced(value: Any, names: Mapping[UUID, str]) -> Any:
    """The same value with every reference replaced by the name of its file on the runner."""
    return _mapped(value, lambda reference: names[asset_of(reference)])


def staged_name(hash_hex: str, file_path: str) -> str:
    """A name that equal bytes share on a runner: the hash, and the extension that nodes go by."""
    suffix = PurePosixPath(file_path).suffix
    plain = suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= _MAX_SUFFIX
    return hash_hex + (suffix.lower() if plain else "")


def is_reference(value: object) -> bool:
    """Whether the value stands for an asset."""
    return isinstance(value, dict) and value.get("__type") == _ASSET_TYPE


def asset_of(reference: Mapping[str, Any]) -> UUID:
    """The asset that an accepted reference names."""
    return UUID(reference["info"]["id"])


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    todo = [value]
    while todo:
        here = todo.pop()
        if isinstance(here, dict):
            yield here
            todo.extend(here.values())
        elif isinstance(here, list):
            todo.extend(here)


def _mapped(value: Any, name_of: Callable[[Mapping[str, Any]], str]) -> Any:
    # The depth of accepted graphs is limited, so recursion is safe here.
    if is_reference(value):
        return name_of(value)
    if isinstance(value, dict):
        return {key: _mapped(item, name_of) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, name_of) for item in value]
    return value
