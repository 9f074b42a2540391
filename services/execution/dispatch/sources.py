"""Which results a node's `ui` answer holds. Pure: names and kinds; no bytes are moved here."""

import json
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from services.execution.domain import OutputKind

_FALLBACK = "application/octet-stream"
_KIND_OF_MEDIA = {
    "image": OutputKind.IMAGE,
    "video": OutputKind.VIDEO,
    "audio": OutputKind.AUDIO,
    "text": OutputKind.TEXT,
}
_TYPES = {".latent": _FALLBACK, ".webp": "image/webp", ".glb": "model/gltf-binary", ".mkv": "video/x-matroska"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file lies on the runner."""

    filename: str
    subfolder: str
    type: str


@dataclass(frozen=True, slots=True)
class Source:
    """One result: a file that is still on the runner, or data that came with the answer.

    `key` tells it from every other result of its node, and is the same however often the answer is read.
    """

    node_id: str
    key: str
    position: int
    name: str
    kind: OutputKind
    content_type: str
    place: Place | None = None
    data: bytes = b""


def of_node(node_id: str, ui: Mapping[str, Any]) -> Sequence[Source]:
    """Every result of one node, without duplicates, in the runner's order."""
    found: dict[str, Source] = {}
    for name, items in ui.items():
        for source in _of_list(node_id, name, items, len(found)):
            found.setdefault(source.key, source)
    return list(found.values())


def of_frame(node_id: str, index: int, data: bytes, content_type: str) -> Source:
    """A picture that a node sent over the websocket instead of saving it."""
    suffix = mimetypes.guess_extension(content_type) or ".png"
    name = f"websocket_{node_id}_{index:05}{suffix}"
    return Source(node_id, f"frame:{index}", index, name, OutputKind.IMAGE, content_type, data=data)


def content_type_of(filename: str) -> str:
    """The media type that a file name promises."""
    suffix = PurePosixPath(filename).suffix.lower()
    return _TYPES.get(suffix) or mimetypes.guess_type(filename)[0] or _FALLBACK


def kind_of(filename: str, content_type: str) -> OutputKind:
    """The kind of thing a file is."""
    if filename.lower().endswith(".latent"):
        return OutputKind.LATENT
    return _KIND_OF_MEDIA.get(content_type.partition("/")[0], OutputKind.FILE)


def _of_list(node_id: str, name: str, items: object, start: int) -> Iterator[Source]:
    if not isinstance(items, list):
        yield _data(node_id, name, items, start)
        return
    files = [item for item in items if _is_file(item)]
    texts = [(index, item) for index, item in enumerate(items) if isinstance(item, str)]
    for offset, item in enumerate(files):
        yield _file(node_id, item, start + offset)
    for index, text in texts:
        yield _text(node_id, name, index, text, start + index)
    rest = [item for item in items if not _is_file(item) and not isinstance(item, str)]
    # Lists of booleans say how a file beside them is shown, as `animated` does.
    if any(item is not None and not isinstance(item, bool) for item in rest):
        yield _data(node_id, name, rest, start + len(items))


def _is_file(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("filename"), str) and bool(item["filename"])


def _file(node_id: str, item: Mapping[str, Any], position: int) -> Source:
    place = Place(item["filename"], str(item.get("subfolder") or ""), str(item.get("type") or "output"))
    content_type = content_type_of(place.filename)
    return Source(
        node_id,
        key=f"file:{place.type}:{place.subfolder}:{place.filename}",
        position=position,
        name=place.filename.rpartition("/")[2],
        kind=kind_of(place.filename, content_type),
        content_type=content_type,
        place=place,
    )


def _text(node_id: str, name: str, index: int, text: str, position: int) -> Source:
    label = f"{name}_{node_id}_{index}.txt"
    key = f"text:{name}:{index}"
    return Source(node_id, key, position, label, OutputKind.TEXT, "text/plain; charset=utf-8", data=text.encode())


def _data(node_id: str, name: str, value: object, position: int) -> Source:
    data = json.dumps(value, ensure_ascii=False).encode()
    return Source(
        node_id, f"data:{name}", position, f"{name}_{node_id}.json", OutputKind.FILE, "application/json", data=data
    )
