"""History entries: how a prompt ended and what it left. Section 5 of the contract."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from libs.comfy.reading import items, mapping, text, texts, whole

MARKER = "comfyfleet"
"""Key in extra_data under which `submit` leaves the caller's prompt id, for servers that choose their own."""

# A list of flags about the pictures next to it, not an output of its own.
_ABOUT_OTHERS = frozenset({"animated"})
_ENDINGS = frozenset({"execution_error", "execution_interrupted", "execution_success"})


class Outcome(Enum):
    """How a prompt ended."""

    SUCCESS = "success"
    ERROR = "error"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class ExecutionFailure:
    """What execution_error says, without the inputs it quotes."""

    node_id: str | None
    node_type: str | None
    exception_type: str
    message: str
    traceback: tuple[str, ...]
    """Lines; they show paths of the server's machine."""

    @property
    def is_out_of_memory(self) -> bool:
        """torch.OutOfMemoryError, and torch.cuda.OutOfMemoryError of older servers."""
        return self.exception_type.rpartition(".")[2] == "OutOfMemoryError"


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that can be fetched by `ComfyClient.view`."""

    node_id: str
    filename: str
    subfolder: str
    type: str
    """output, temp or input."""
    kind: str
    """The key it was listed under: images, gifs, audio, 3d, …"""


@dataclass(frozen=True, slots=True)
class DataOutput:
    """An output that is no file: text and whatever else a node shows."""

    node_id: str
    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """The end of one prompt."""

    prompt_id: str
    marker: str | None
    outcome: Outcome
    failure: ExecutionFailure | None
    files: tuple[OutputFile, ...]
    data: tuple[DataOutput, ...]
    cached_nodes: tuple[str, ...]
    started_ms: int | None
    """Unix time in milliseconds on the server's clock; None on servers of March 2024."""
    ended_ms: int | None


def parse_history(answer: object) -> dict[str, HistoryEntry]:
    """Read an answer of /history or /history/{id}. ValueError for anything else: absence is never a guess."""
    if not isinstance(answer, dict):
        raise ValueError("no history")  # noqa: TRY004
    return {prompt_id: parse_entry(prompt_id, entry) for prompt_id, entry in answer.items() if isinstance(entry, dict)}


def parse_entry(prompt_id: str, entry: Mapping[str, Any]) -> HistoryEntry:
    """Read one entry; `status` and `meta` may be missing."""
    status = mapping(entry.get("status"))
    messages = _messages(status)
    outcome = _outcome(status, messages, bool(entry.get("outputs")))
    outputs = list(_outputs(entry))
    return HistoryEntry(
        prompt_id=prompt_id,
        marker=_marker(entry),
        outcome=outcome,
        failure=_failure(messages) if outcome is Outcome.ERROR else None,
        files=tuple(output for output in outputs if isinstance(output, OutputFile)),
        data=tuple(output for output in outputs if isinstance(output, DataOutput)),
        cached_nodes=texts(messages.get("execution_cached", {}).get("nodes")),
        started_ms=whole(messages.get("execution_start", {}).get("timestamp")),
        ended_ms=_ended(messages),
    )


def parse_failure(data: Mapping[str, Any]) -> ExecutionFailure:
    """Read the data of an execution_error message."""
    return ExecutionFailure(
        node_id=text(data.get("node_id")),
        node_type=text(data.get("node_type")),
        exception_type=text(data.get("exception_type")) or "",
        message=(text(data.get("exception_message")) or "").strip(),
        traceback=texts(data.get("traceback")),
    )


def marker_of(extra_data: object) -> str | None:
    """Return the prompt id that `submit` left in extra_data."""
    return text(mapping(extra_data).get(MARKER))


def _messages(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    pairs = [pair for pair in items(status.get("messages")) if isinstance(pair, list) and len(pair) == 2]
    return {name: mapping(data) for name, data in pairs if isinstance(name, str)}


def _outcome(status: Mapping[str, Any], messages: Mapping[str, Any], has_outputs: bool) -> Outcome:
    said = status.get("status_str")
    if said == "success" or (said is None and has_outputs):
        return Outcome.SUCCESS
    endings = [name for name in messages if name in _ENDINGS]
    # An interrupt is called "error" too; only the last message tells.
    return Outcome.INTERRUPTED if endings[-1:] == ["execution_interrupted"] else Outcome.ERROR


def _failure(messages: Mapping[str, Mapping[str, Any]]) -> ExecutionFailure:
    said = messages.get("execution_error")
    return parse_failure(said or {"exception_message": "the server gives no reason"})


def _ended(messages: Mapping[str, Mapping[str, Any]]) -> int | None:
    times = [whole(data.get("timestamp")) for name, data in messages.items() if name in _ENDINGS]
    return times[-1] if times else None


def _marker(entry: Mapping[str, Any]) -> str | None:
    prompt = items(entry.get("prompt"))
    return marker_of(prompt[3]) if len(prompt) > 3 else None


def _outputs(entry: Mapping[str, Any]) -> Iterator[OutputFile | DataOutput]:
    for node_id, shown in mapping(entry.get("outputs")).items():
        yield from parse_outputs(node_id, shown)


def parse_outputs(node_id: str, shown: object) -> Iterator[OutputFile | DataOutput]:
    """Read what one node showed: every object with a filename is a file, the rest is data."""
    for kind, value in mapping(shown).items():
        if kind in _ABOUT_OTHERS or value in (None, []):
            continue
        listed = items(value)
        files = [_file(node_id, kind, item) for item in listed if _is_file(item)]
        yield from files
        rest = [item for item in listed if not _is_file(item)]
        if rest or not files:
            yield DataOutput(node_id, kind, rest if listed else value)


def _is_file(item: object) -> bool:
    filename = mapping(item).get("filename")
    return isinstance(filename, str) and bool(filename)


def _file(node_id: str, kind: str, item: Mapping[str, Any]) -> OutputFile:
    return OutputFile(
        node_id=node_id,
        filename=item["filename"],
        subfolder=text(item.get("subfolder")) or "",
        type=text(item.get("type")) or "output",
        kind=kind,
    )
