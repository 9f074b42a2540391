"""Graph validation with ComfyUI's own error shapes. Pure: the same graph and files give the same answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.simulator.folders import Folders
from deploy.simulator.nodes.node import INPUT_FILES, Node, choices
from deploy.simulator.versions import Features

Graph = Mapping[str, Any]
_CONVERT: Mapping[str, Any] = {"INT": int, "FLOAT": float, "STRING": str}
_LONG_LIST = 20  # choices; longer lists are left out of errors


class ServerTrouble(Exception):
    """What a real server answers with 500: a body it never expected."""


class Refused(Exception):
    """Nothing of the graph can run."""

    def __init__(self, error: Mapping[str, Any], node_errors: Mapping[str, Any] | None = None) -> None:
        super().__init__(error["message"])
        self.error = error
        self.node_errors = node_errors or {}


@dataclass(frozen=True, slots=True)
class Checked:
    """The graph with its values converted, the output nodes that will run, and errors of those that will not."""

    graph: Graph
    outputs: Sequence[str]
    node_errors: Mapping[str, Any]


def problem(kind: str, message: str, details: str = "", **extra: Any) -> dict[str, Any]:
    """One error as ComfyUI words it."""
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


def check(graph: Any, nodes: Mapping[str, Node], folders: Folders, features: Features, targets: Any = None) -> Checked:
    """Raises Refused when no output node is valid, ServerTrouble for shapes that make a server stumble."""
    if isinstance(graph, list) and not features.stumbles_over_lists:
        graph = {}
    if not isinstance(graph, Mapping):
        raise ServerTrouble
    outputs = [node_id for node_id, node in graph.items() if _class(node_id, node, nodes, features).is_output]
    if targets is not None and features.partial_execution:
        outputs = [node_id for node_id in outputs if node_id in targets]
    if not outputs:
        raise Refused(problem("prompt_no_outputs", "Prompt has no outputs"))
    return _Checking(graph, nodes, folders, features).run(outputs)


def _class(node_id: str, node: Any, nodes: Mapping[str, Node], features: Features) -> Node:
    if not isinstance(node, Mapping):
        raise ServerTrouble
    name = node.get("class_type")
    if isinstance(name, str) and name in nodes:
        return nodes[name]
    title = (node.get("_meta") or {}).get("title", name)
    if not features.missing_node_type:
        if not features.chosen_prompt_id:
            raise ServerTrouble  # the oldest servers stumble over unknown classes
        what = (
            f"Cannot execute because node {name} does not exist."
            if name
            else "Cannot execute because a node is missing the class_type property."
        )
        raise Refused(problem("invalid_prompt", what, f"Node ID '#{node_id}'"))
    message = (
        f"Node '{title}' not found. The custom node may not be installed."
        if name
        else f"Node 'ID #{node_id}' has no class_type. The workflow may be corrupted or a custom node is missing."
    )
    extra = {"node_id": node_id, "class_type": name, "node_title": title}
    raise Refused(problem("missing_node_type", message, f"Node ID '#{node_id}'", **extra))


class _Checking:
    """One validation: remembers what was found wrong with each node."""

    def __init__(self, graph: Graph, nodes: Mapping[str, Node], folders: Folders, features: Features) -> None:
        self._graph = graph
        self._nodes = nodes
        self._folders = folders
        self._features = features
        self._errors: dict[str, list[dict[str, Any]]] = {}
        self._values: dict[str, dict[str, Any]] = {}
        self._path: list[str] = []

    def run(self, outputs: Sequence[str]) -> Checked:
        good: list[str] = []
        node_errors: dict[str, Any] = {}
        for output in outputs:
            reached = self._visit(output)
            if not reached:
                good.append(output)
                continue
            for node_id in reached:
                entry = node_errors.setdefault(
                    node_id,
                    {"errors": self._errors[node_id], "dependent_outputs": [], "class_type": self._class_type(node_id)},
                )
                entry["dependent_outputs"].append(output)
        if not good:
            raise Refused(self._failed(outputs), node_errors if self._tells_errors() else {})
        return Checked(self._converted(), good, node_errors)

    def _tells_errors(self) -> bool:
        cyclic = any(error["type"] == "dependency_cycle" for errors in self._errors.values() for error in errors)
        return self._features.dependency_cycle or not cyclic

    def _failed(self, outputs: Sequence[str]) -> dict[str, Any]:
        lines = [
            f"{error['message']}: {error['details']}"
            for output in outputs
            for error in (self._errors.get(output, []) if self._tells_errors() else [])
        ]
        return problem("prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(lines))

    def _converted(self) -> Graph:
        return {
            node_id: {**node, "inputs": {**node.get("inputs", {}), **self._values.get(node_id, {})}}
            for node_id, node in self._graph.items()
        }

    def _class_type(self, node_id: str) -> Any:
        return self._graph[node_id].get("class_type")

    def _visit(self, output: str) -> list[str]:
        """The nodes below an output that have errors, in the order they were found."""
        found: list[str] = []
        path = self._path = list[str]()
        seen: set[str] = set()
        stack: list[tuple[str, bool]] = [(output, False)]
        while stack:
            node_id, leaving = stack.pop()
            if leaving:
                path.pop()
                continue
            if node_id in path:
                self._cycle(path[path.index(node_id) :], found)
                continue
            if node_id in seen:
                continue
            seen.add(node_id)
            path.append(node_id)
            stack.append((node_id, True))
            if node_id not in self._errors:
                self._check_node(node_id)
            if self._errors.get(node_id):
                found.append(node_id)
            else:
                stack.extend((link, False) for link in reversed(self._links(node_id)))
        return list(dict.fromkeys(found))

    def _links(self, node_id: str) -> list[str]:
        inputs = self._graph[node_id].get("inputs", {})
        known = self._nodes[self._class_type(node_id)].inputs
        return [value[0] for name, value in inputs.items() if name in known and _is_link(value)]

    def _cycle(self, members: list[str], found: list[str]) -> None:
        path = " -> ".join(f"{node_id} ({self._class_type(node_id)})" for node_id in (*members, members[0]))
        for node_id in members:
            extra = {"node_id": node_id, "cycle_nodes": list(members)}
            error = problem("dependency_cycle", "Dependency cycle detected", path, **extra)
            if not any(known["type"] == "dependency_cycle" for known in self._errors.setdefault(node_id, [])):
                self._errors[node_id].append(error)
            found.append(node_id)

    def _check_node(self, node_id: str) -> None:
        node = self._graph[node_id]
        self._errors[node_id] = []
        if "inputs" not in node:
            extra = {"exception_type": "KeyError", "traceback": []}
            message = "Exception when validating node"
            self._errors[node_id] = [problem("exception_during_validation", message, "'inputs'", **extra)]
            return
        for name, spec in self._nodes[node["class_type"]].inputs.items():
            self._check_input(node_id, node, name, spec)

    def _check_input(self, node_id: str, node: Mapping[str, Any], name: str, spec: Sequence[Any]) -> None:
        inputs = node["inputs"]
        node_class = self._nodes[node["class_type"]]
        config = choices(spec, self._folders)
        if name not in inputs:
            if name in node_class.required:
                self._add(node_id, "required_input_missing", "Required input is missing", name, input_name=name)
            return
        value = inputs[name]
        if isinstance(value, list):
            self._check_link(node_id, name, value, config)
        elif isinstance(config[0], list):
            self._check_choice(node_id, name, value, config, spec)
        else:
            self._check_value(node_id, name, value, config)

    def _check_link(self, node_id: str, name: str, value: list[Any], config: list[Any]) -> None:
        common = {"input_name": name, "input_config": config}
        if len(value) != 2:
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            self._add(node_id, "bad_linked_input", message, name, **common, received_value=value)
            return
        source, slot = value
        if source not in self._graph:
            self._inner(node_id, common, f"'{source}'", "KeyError", value)
            return
        if self._features.dependency_cycle and source in self._path:
            return  # a cycle, which is told when the walk comes there
        outputs = self._nodes[self._class_type(source)].outputs
        if not isinstance(slot, int) or slot >= len(outputs):
            self._inner(node_id, common, "tuple index out of range", "IndexError", value)
        elif config[0] not in (outputs[slot], "*"):
            details = f"{name}, received_type({outputs[slot]}) mismatch input_type({config[0]})"
            extra = {**common, "received_type": outputs[slot], "linked_node": value}
            self._add(node_id, "return_type_mismatch", "Return type mismatch between linked nodes", details, **extra)

    def _inner(self, node_id: str, common: dict[str, Any], text: str, kind: str, value: list[Any]) -> None:
        linked = [node_id, value[1] if kind == "KeyError" else 0]
        extra = {**common, "exception_message": text, "exception_type": kind, "traceback": [], "linked_node": linked}
        self._add(node_id, "exception_during_inner_validation", "Exception when validating inner node", text, **extra)

    def _check_choice(self, node_id: str, name: str, value: Any, config: list[Any], spec: Sequence[Any]) -> None:
        if value in config[0]:
            return
        if spec[0] is INPUT_FILES:
            details = f"{name} - Invalid image file: {value}"
            if not self._file_exists(value):
                self._add(
                    node_id, "custom_validation_failed", "Custom validation failed for node", details, input_name=name
                )
            return
        shown = config if len(config[0]) <= _LONG_LIST else None
        details = f"{name}: {value!r} not in {config[0]}"
        extra = {"input_name": name, "input_config": shown, "received_value": value}
        self._add(node_id, "value_not_in_list", "Value not in list", details, **extra)

    def _file_exists(self, name: Any) -> bool:
        return isinstance(name, str) and (self._folders.base / "input" / name).is_file()

    def _check_value(self, node_id: str, name: str, value: Any, config: list[Any]) -> None:
        common = {"input_name": name, "input_config": config, "received_value": value}
        kind = config[0]
        try:
            converted = _CONVERT[kind](value) if kind in _CONVERT else value
        except (TypeError, ValueError) as error:
            message = f"Failed to convert an input value to a {kind} value"
            extra = {**common, "exception_message": str(error)}
            self._add(node_id, "invalid_input_type", message, f"{name}, {value}, {error}", **extra)
            return
        options = config[1] if len(config) > 1 else {}
        if "min" in options and converted < options["min"]:
            message = f"Value {converted} smaller than min of {options['min']}"
            self._add(node_id, "value_smaller_than_min", message, name, **common)
        elif "max" in options and converted > options["max"]:
            message = f"Value {converted} bigger than max of {options['max']}"
            self._add(node_id, "value_bigger_than_max", message, name, **common)
        else:
            self._values.setdefault(node_id, {})[name] = converted

    def _add(self, node_id: str, kind: str, message: str, details: str, **extra: Any) -> None:
        self._errors[node_id].append(problem(kind, message, details, **extra))


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2
