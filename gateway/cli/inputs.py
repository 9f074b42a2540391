"""`--input NODE.FIELD=VALUE`: values put into a workflow before it is sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.cli.errors import CommandFailed, ExitCode

Workflow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """One `--input`. `file` is set when the value is the content of a file, else `value` counts."""

    node: str
    field: str
    value: Any = None
    file: Path | None = None


def read_workflow(path: Path) -> Workflow:
    """A workflow in API format: node id → class_type and inputs. CommandFailed (usage) for anything else."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise _usage(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise _usage(f"{path} is not JSON: {error}") from None
    if isinstance(content, dict) and isinstance(content.get("nodes"), list):
        raise _usage(f"{path} is in the editor's format", "export it from ComfyUI with: Workflow > Export (API)")
    if not isinstance(content, dict):
        raise _usage(f"{path} is not a workflow: its nodes must be an object by node id")
    return content


def parse(text: str) -> Input:
    """`NODE.FIELD=@file` or `NODE.FIELD=value`; a value that is not JSON is a string."""
    target, equals, raw = text.partition("=")
    node, dot, field = target.partition(".")
    if not (equals and dot and node and field):
        raise _usage(f"--input {text!r} is not NODE.FIELD=VALUE or NODE.FIELD=@FILE")
    if raw.startswith("@"):
        return _file_input(node, field, Path(raw[1:]))
    return Input(node, field, value=_value(raw))


def apply(workflow: Workflow, inputs: Sequence[Input], references: Mapping[Path, Any]) -> Workflow:
    """The workflow with every input in its place; files become what `references` says of them."""
    changed = dict(workflow)
    for item in inputs:
        node = changed[item.node]
        value = item.value if item.file is None else references[item.file]
        changed[item.node] = {**node, "inputs": {**node["inputs"], item.field: value}}
    return changed


def check(workflow: Workflow, inputs: Sequence[Input]) -> None:
    """CommandFailed (usage) for an input whose node or field the workflow lacks, with those that it has."""
    for item in inputs:
        node = workflow.get(item.node)
        if not isinstance(node, dict) or not isinstance(node.get("inputs"), dict):
            raise _usage(f"the workflow has no node {item.node}", "its nodes: " + _nodes(workflow))
        if item.field not in node["inputs"]:
            known = ", ".join(node["inputs"]) or "none"
            name = f"node {item.node} ({node.get('class_type')})"
            raise _usage(f"{name} has no input {item.field}", f"its inputs: {known}")


def asset_reference(asset: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in a workflow for an uploaded asset."""
    info = {name: asset[name] for name in ("id", "hash", "file_path") if asset.get(name)}
    return {"__type": "core/ASSET", "info": info}


def _file_input(node: str, field: str, path: Path) -> Input:
    if not path.is_file():
        raise _usage(f"--input {node}.{field}: there is no file {path}")
    return Input(node, field, file=path)


def _value(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def _nodes(workflow: Workflow) -> str:
    names = [f"{key} ({node['class_type']})" for key, node in workflow.items() if "class_type" in (node or ())]
    return ", ".join(names[:30]) + (", …" if len(names) > 30 else "")


def _usage(message: str, *advice: str) -> CommandFailed:
    return CommandFailed(message, ExitCode.USAGE, advice)
