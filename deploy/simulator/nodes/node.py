"""What a node class is, and what it sees while it runs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL.Image import Image

from deploy.simulator.folders import Folders

Images = list[Image]
InputSpec = Sequence[Any]  # [type or list of choices, options], as /object_info shows it


class NodeFailed(Exception):
    """The node raised. `kind` is what the server calls the exception's type."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Run(Protocol):
    """What a running node may use."""

    folders: Folders
    graph: Mapping[str, Any]
    extra_data: Mapping[str, Any]

    async def pause(self, seconds: float) -> None:
        """Take time; the runner's speed shortens it."""
        ...

    async def progress(self, value: int, most: int, preview: tuple[str, bytes] | None = None) -> None:
        """Report progress. An interrupt takes effect here."""
        ...

    async def send_text(self, text: str) -> None:
        """Send text to the client."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """Outputs by slot, and what the front end is shown."""

    outputs: Sequence[Any] = ()
    ui: Mapping[str, Any] | None = None


Body = Callable[[Run, Mapping[str, Any]], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Node:
    """One node class."""

    name: str
    run: Body
    required: Mapping[str, InputSpec]
    optional: Mapping[str, InputSpec] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)
    outputs: Sequence[str] = ()
    category: str = "image"
    is_output: bool = False
    always_runs: bool = False
    """Never taken from the cache."""

    @property
    def inputs(self) -> Mapping[str, InputSpec]:
        """Required and optional ones."""
        return {**self.required, **self.optional}

    def info(self, folders: Folders) -> dict[str, Any]:
        """The class as /object_info tells it."""
        required = {name: choices(spec, folders) for name, spec in self.required.items()}
        optional = {name: choices(spec, folders) for name, spec in self.optional.items()}
        groups: dict[str, Mapping[str, Any]] = {"required": required, "optional": optional, "hidden": dict(self.hidden)}
        return {
            "input": {name: group for name, group in groups.items() if group},
            "input_order": {name: [*group] for name, group in groups.items() if group},
            "output": list(self.outputs),
            "output_is_list": [False] * len(self.outputs),
            "output_name": list(self.outputs),
            "name": self.name,
            "display_name": self.name,
            "description": "",
            "python_module": "nodes",
            "category": self.category,
            "output_node": self.is_output,
        }


INPUT_FILES = object()
"""Stands in a spec for the names in the input directory."""


def choices(spec: InputSpec, folders: Folders) -> list[Any]:
    """The spec with its choices filled in."""
    return [folders.names("input") if spec[0] is INPUT_FILES else spec[0], *spec[1:]]
