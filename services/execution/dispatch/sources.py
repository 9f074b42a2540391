"""What the results of a runner are kept as. Pure: names and kinds; no bytes are moved here."""

import json
import mimetypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from libs.comfy import DataOutput, OutputFile
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
    file: OutputFile | None = None
    data: bytes = b""


def of_outputs(outputs: Iterable[OutputFile | DataOutput]) -> Sequence[Source]:
    """Every result once, in the runner's order."""
    found: dict[tuple[str, str], Source] = {}
    positions: dict[str, int] = {}
    for output in outputs:
        for source in _of_output(output, positions.get(output.node_id, 0)):
            found.setdefault((source.node_id, source.key), source)
            positions[output.node_id] = source.position + 1
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


def _of_output(output: OutputFile | DataOutput, position: int) -> Iterator[Source]:
    if isinstance(output, OutputFile):
        yield _file(output, position)
        return
    listed = output.value if isinstance(output.value, list) else [output.value]
    texts = [item for item in listed if isinstance(item, str)]
    rest = [item for item in listed if not isinstance(item, str)]
    for index, text in enumerate(texts):
        yield _text(output, index, text, position + index)
    if rest:
        yield _data(output, rest, position + len(texts))


def _file(output: OutputFile, position: int) -> Source:
    content_type = content_type_of(output.filename)
    return Source(
        output.node_id,
        key=f"file:{output.type}:{output.subfolder}:{output.filename}",
        position=position,
        name=output.filename.rpartition("/")[2],
        kind=kind_of(output.filename, content_type),
        content_type=content_type,
        file=output,
    )


def _text(output: DataOutput, index: int, text: str, position: int) -> Source:
    return Source(
        output.node_id,
        key=f"text:{output.kind}:{index}",
        position=position,
        name=f"{output.kind}_{output.node_id}_{index}.txt",
        kind=OutputKind.TEXT,
        content_type="text/plain; charset=utf-8",
        data=text.encode(),
    )


def _data(output: DataOutput, values: list[Any], position: int) -> Source:
    return Source(
        output.node_id,
        key=f"data:{output.kind}",
        position=position,
        name=f"{output.kind}_{output.node_id}.json",
        kind=OutputKind.FILE,
        content_type="application/json",
        data=json.dumps(values, ensure_ascii=False).encode(),
    )
