"""Websocket frames as typed events. Section 7 of the contract.

Nothing here ever raises: what is not understood is Unknown.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from libs.comfy.history import DataOutput, ExecutionFailure, OutputFile, parse_failure, parse_outputs
from libs.comfy.reading import mapping, number, read_json, text, texts, whole


@dataclass(frozen=True, slots=True)
class Status:
    """How many prompts are queued or running; `sid` only in a connection's first frame."""

    queue_remaining: int
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """The server's flags."""

    flags: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExecutionStart:
    """A prompt began; `timestamp` is Unix time in ms by the server's clock, None on old servers."""

    prompt_id: str
    timestamp: int | None = None


@dataclass(frozen=True, slots=True)
class Cached:
    """These nodes will not run again."""

    prompt_id: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Executing:
    """A node began. `node` None: the prompt is over, whatever its result. No prompt id right after connecting."""

    prompt_id: str | None
    node: str | None
    display_node: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps of the running node."""

    prompt_id: str | None
    node: str | None
    value: float
    maximum: float


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """One node in a ProgressState; nodes of a run-time expansion name the original in `display_node`."""

    value: float
    maximum: float
    state: str
    """pending, running, finished or error."""
    display_node: str
    real_node: str


@dataclass(frozen=True, slots=True)
class ProgressState:
    """All nodes touched so far; complete each time."""

    prompt_id: str
    nodes: Mapping[str, NodeProgress]


@dataclass(frozen=True, slots=True)
class Executed:
    """A node shows something."""

    prompt_id: str
    node: str
    display_node: str
    outputs: tuple[OutputFile | DataOutput, ...]


@dataclass(frozen=True, slots=True)
class Success:
    """All ran. History does not have it yet: wait for Executing with node None."""

    prompt_id: str


@dataclass(frozen=True, slots=True)
class Error:
    """A node failed. Not always the end: a blocked branch says this too and the prompt then succeeds."""

    prompt_id: str
    failure: ExecutionFailure


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Somebody stopped the prompt."""

    prompt_id: str
    node: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of the work in progress; also how SaveImageWebsocket delivers its results."""

    image: bytes = field(repr=False)
    content_type: str
    node: str | None = None
    prompt_id: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Text that a node shows while it works."""

    node: str
    text: str
    prompt_id: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A type that custom nodes or later servers made up; `type` is empty for a frame that cannot be read."""

    type: str
    data: Mapping[str, Any] = field(repr=False)


Event = (
    Status
    | Features
    | ExecutionStart
    | Cached
    | Executing
    | Progress
    | ProgressState
    | Executed
    | Success
    | Error
    | Interrupted
    | Preview
    | Text
    | Unknown
)

_UNREADABLE = Unknown("", {})
_IMAGE_TYPES = {1: "image/jpeg", 2: "image/png"}


def parse_frame(frame: str | bytes) -> Event:
    """Read one websocket message."""
    return _parse_text(frame) if isinstance(frame, str) else _parse_binary(frame)


def _parse_text(frame: str) -> Event:
    try:
        message = mapping(read_json(frame))
    except ValueError:
        return _UNREADABLE
    kind, data = text(message.get("type")) or "", mapping(message.get("data"))
    parse = _PARSERS.get(kind)
    return (parse(data) if parse else None) or Unknown(kind, data)


def _status(data: Mapping[str, Any]) -> Event | None:
    left = whole(mapping(mapping(data.get("status")).get("exec_info")).get("queue_remaining"))
    return None if left is None else Status(left, text(data.get("sid")))


def _features(data: Mapping[str, Any]) -> Event:
    return Features(data)


def _execution_start(data: Mapping[str, Any]) -> Event | None:
    prompt_id = text(data.get("prompt_id"))
    return ExecutionStart(prompt_id, whole(data.get("timestamp"))) if prompt_id else None


def _execution_cached(data: Mapping[str, Any]) -> Event | None:
    prompt_id = text(data.get("prompt_id"))
    return Cached(prompt_id, texts(data.get("nodes"))) if prompt_id else None


def _executing(data: Mapping[str, Any]) -> Event | None:
    node = text(data.get("node"))
    if "node" not in data:
        return None
    return Executing(text(data.get("prompt_id")), node, text(data.get("display_node")) or node)


def _progress(data: Mapping[str, Any]) -> Event:
    return Progress(
        text(data.get("prompt_id")), text(data.get("node")), number(data.get("value")), number(data.get("max"))
    )


def _progress_state(data: Mapping[str, Any]) -> Event | None:
    prompt_id = text(data.get("prompt_id"))
    if not prompt_id:
        return None
    nodes = {node_id: _node(node_id, mapping(said)) for node_id, said in mapping(data.get("nodes")).items()}
    return ProgressState(prompt_id, nodes)


def _node(node_id: str, said: Mapping[str, Any]) -> NodeProgress:
    return NodeProgress(
        value=number(said.get("value")),
        maximum=number(said.get("max")),
        state=text(said.get("state")) or "",
        display_node=text(said.get("display_node_id")) or node_id,
        real_node=text(said.get("real_node_id")) or node_id,
    )


def _executed(data: Mapping[str, Any]) -> Event | None:
    prompt_id, node = text(data.get("prompt_id")), text(data.get("node"))
    if not (prompt_id and node):
        return None
    outputs = tuple(parse_outputs(node, data.get("output")))
    return Executed(prompt_id, node, text(data.get("display_node")) or node, outputs)


def _success(data: Mapping[str, Any]) -> Event | None:
    prompt_id = text(data.get("prompt_id"))
    return Success(prompt_id) if prompt_id else None


def _error(data: Mapping[str, Any]) -> Event | None:
    prompt_id = text(data.get("prompt_id"))
    return Error(prompt_id, parse_failure(data)) if prompt_id else None


def _interrupted(data: Mapping[str, Any]) -> Event | None:
    prompt_id = text(data.get("prompt_id"))
    return Interrupted(prompt_id, text(data.get("node_id"))) if prompt_id else None


_PARSERS: Mapping[str, Callable[[Mapping[str, Any]], Event | None]] = {
    "status": _status,
    "feature_flags": _features,
    "execution_start": _execution_start,
    "execution_cached": _execution_cached,
    "executing": _executing,
    "progress": _progress,
    "progress_state": _progress_state,
    "executed": _executed,
    "execution_success": _success,
    "execution_error": _error,
    "execution_interrupted": _interrupted,
}


def _parse_binary(frame: bytes) -> Event:
    try:
        (code,) = struct.unpack_from(">I", frame)
        parse = _BINARY_PARSERS.get(code)
        return parse(frame) if parse else Unknown(f"binary {code}", {})
    except (struct.error, ValueError):
        return _UNREADABLE


def _preview(frame: bytes) -> Event:
    (image_format,) = struct.unpack_from(">I", frame, 4)
    return Preview(frame[8:], _IMAGE_TYPES.get(image_format, "application/octet-stream"))


def _text_frame(frame: bytes) -> Event:
    node, said = _prefixed(frame)
    return Text(node.decode("utf-8", "replace"), said.decode("utf-8", "replace"))


def _described_preview(frame: bytes) -> Event:
    described, image = _prefixed(frame)
    about = mapping(read_json(described))
    return Preview(
        image,
        text(about.get("image_type")) or "application/octet-stream",
        text(about.get("node_id")),
        text(about.get("prompt_id")),
    )


def _prefixed(frame: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from(">I", frame, 4)
    if length > len(frame) - 8:
        raise ValueError("shorter than it says")
    return frame[8 : 8 + length], frame[8 + length :]


_BINARY_PARSERS: Mapping[int, Callable[[bytes], Event]] = {1: _preview, 3: _text_frame, 4: _described_preview}
