"""Reading a workflow: what makes a graph acceptable, whatever runner it goes to.

Pure and iterative: neither a deep chain of nodes nor deep JSON can exhaust the stack.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from libs.errors import InvalidArgument

_MAX_TEXT = 255
_MAX_REPORT_CHARS = 3000  # error details travel in HTTP/2 headers, which have room for 8 KiB in all
_ASSET_TYPE = "core/ASSET"


@dataclass(frozen=True, slots=True)
class GraphLimits:
    """What a graph may measure at most."""

    max_bytes: int = 16 << 20
    max_nodes: int = 20_000
    max_depth: int = 100


@dataclass(frozen=True, slots=True)
class NodeFault:
    """What is wrong with one input of one node; `field` is empty when it is the node itself."""

    node_id: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class AssetReference:
    """An input that stands for an asset. `asset_id` is None when the reference is malformed."""

    node_id: str
    field: str
    asset_id: UUID | None
    shown_id: str


@dataclass(frozen=True, slots=True)
class Graph:
    """An acceptable graph: the class of every node, and the assets it reads."""

    classes: Mapping[str, str]
    assets: Sequence[AssetReference]

    @property
    def node_classes(self) -> frozenset[str]:
        """Every class that a runner must have."""
        return frozenset(self.classes.values())


def read_graph(data: bytes, limits: GraphLimits) -> Graph:
    """Read an API-format graph.

    Raises InvalidArgument with WORKFLOW_INVALID, WORKFLOW_FORMAT_UI or WORKFLOW_TOO_LARGE. Asset references
    are collected, not judged.
    """
    if len(data) > limits.max_bytes:
        raise too_large(f"the workflow has {len(data)} bytes; at most {limits.max_bytes} are allowed")
    nodes = _nodes(_parse(data, limits), limits)
    _refuse(_shape_faults(nodes))
    _refuse(_dangling_links(nodes))
    _refuse(_cycle_faults(nodes))
    classes = {node_id: node["class_type"] for node_id, node in nodes.items()}
    return Graph(classes, tuple(_asset_references(nodes, limits)))


def unknown_classes(graph: Graph, known: frozenset[str]) -> Sequence[NodeFault]:
    """The nodes whose class is not among the known ones."""
    return [
        NodeFault(node_id, "class_type", "unknown_node_class")
        for node_id, node_class in graph.classes.items()
        if node_class not in known
    ]


def invalid(faults: Sequence[NodeFault]) -> InvalidArgument:
    """The error that names every faulty node, as many as an answer can carry."""
    first = faults[0]
    where = f"node {_shown(first.node_id)}" + (f", input {_shown(first.field)}" if first.field else "")
    return _invalid(f"{where}: {first.reason.replace('_', ' ')}", report(faults))


def report(faults: Iterable[NodeFault]) -> str:
    """`{"12": [{"field": ..., "reason": ...}]}` as JSON, cut after a few thousand characters."""
    nodes: dict[str, list[dict[str, str]]] = {}
    room = _MAX_REPORT_CHARS
    for fault in faults:
        entry = {"field": fault.field[:_MAX_TEXT], "reason": fault.reason}
        room -= len(json.dumps([fault.node_id[:_MAX_TEXT], entry]))
        if room < 0 and nodes:
            break
        nodes.setdefault(fault.node_id[:_MAX_TEXT], []).append(entry)
    return json.dumps(nodes, separators=(",", ":"))


def missing_asset_text(reference: AssetReference) -> str:
    """The sentence for a reference that leads nowhere."""
    where = f"node {_shown(reference.node_id)}, input {_shown(reference.field)}"
    return f"{where}: there is no asset {_shown(reference.shown_id)}"


def too_large(message: str) -> InvalidArgument:
    """The error for a graph beyond a limit."""
    return InvalidArgument("WORKFLOW_TOO_LARGE", message)


def _invalid(message: str, node_errors: str = "{}") -> InvalidArgument:
    return InvalidArgument("WORKFLOW_INVALID", message, metadata={"node_errors": node_errors})


def _parse(data: bytes, limits: GraphLimits) -> object:
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise too_large(f"the workflow is nested deeper than {limits.max_depth} levels") from None
    except UnicodeDecodeError:
        raise _invalid("the workflow is not UTF-8 text") from None
    except ValueError as error:
        raise _invalid(f"the workflow is not JSON: {_shown(str(error))}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {_shown(twice)} occurs twice in one object")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON value")


def _nodes(document: object, limits: GraphLimits) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise _invalid("the workflow is not a JSON object of nodes")
    if isinstance(document.get("nodes"), list) and isinstance(document.get("links"), list):
        message = "this is the editor's save format; export the workflow in API format"
        raise InvalidArgument("WORKFLOW_FORMAT_UI", message)
    if not document:
        raise _invalid("the workflow has no nodes")
    if len(document) > limits.max_nodes:
        raise too_large(f"the workflow has {len(document)} nodes; at most {limits.max_nodes} are allowed")
    return document


def _shape_faults(nodes: Mapping[str, Any]) -> Iterator[NodeFault]:
    for node_id, node in nodes.items():
        if not _storable(node_id):
            yield NodeFault(node_id, "", "node_id_not_allowed")
        elif not isinstance(node, dict):
            yield NodeFault(node_id, "", "not_an_object")
        elif not _storable(node.get("class_type")):
            yield NodeFault(node_id, "class_type", "missing_class_type")
        elif not isinstance(node.get("inputs"), dict):
            yield NodeFault(node_id, "inputs", "missing_inputs")


def _storable(text: object) -> bool:
    """Whether it is a name that every store and runner can hold."""
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_TEXT or "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _links(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(input, source node) of every link, by the runner's own rule of what a link is."""
    for field, value in node["inputs"].items():
        if isinstance(value, list) and len(value) == 2:
            source, slot = value
            if isinstance(source, str) and type(slot) in (int, float):
                yield field, source


def _dangling_links(nodes: Mapping[str, Any]) -> Iterator[NodeFault]:
    for node_id, node in nodes.items():
        for field, source in _links(node):
            if source not in nodes:
                yield NodeFault(node_id, field, "link_to_unknown_node")


def _cycle_faults(nodes: Mapping[str, Any]) -> Iterator[NodeFault]:
    left = _unresolvable({node_id: dict(_links(node)) for node_id, node in nodes.items()})
    if not left:
        return
    for node_id, field in _one_cycle(left):
        yield NodeFault(node_id, field, "cycle")


def _unresolvable(links: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """The nodes that are on a cycle or wait for one: take away what has no sources, again and again."""
    waits_for = {node_id: len(sources) for node_id, sources in links.items()}
    feeds: dict[str, list[str]] = {}
    for node_id, sources in links.items():
        for source in sources.values():
            feeds.setdefault(source, []).append(node_id)
    ready = [node_id for node_id, count in waits_for.items() if count == 0]
    while ready:
        done = ready.pop()
        del waits_for[done]
        for target in feeds.get(done, ()):
            waits_for[target] -= 1
            if waits_for[target] == 0:
                ready.append(target)
    return {node_id: links[node_id] for node_id in waits_for}


def _one_cycle(left: Mapping[str, Mapping[str, str]]) -> Sequence[tuple[str, str]]:
    """Walk from source to source among unresolvable nodes: sooner or later one comes twice."""
    path: dict[str, str] = {}
    node_id = next(iter(left))
    while node_id not in path:
        field, source = next((f, s) for f, s in left[node_id].items() if s in left)
        path[node_id] = field
        node_id = source
    steps = list(path.items())
    return steps[[step[0] for step in steps].index(node_id) :]


def _asset_references(nodes: Mapping[str, Any], limits: GraphLimits) -> Iterator[AssetReference]:
    for node_id, node in nodes.items():
        for field, value in node["inputs"].items():
            for found in _asset_objects(value, limits):
                yield _reference(node_id, field, found)


def _asset_objects(value: object, limits: GraphLimits) -> Iterator[Mapping[str, Any]]:
    todo = [(value, 3)]  # the graph, the node and its inputs lie above
    while todo:
        here, depth = todo.pop()
        if not isinstance(here, dict | list):
            continue
        if depth >= limits.max_depth:
            raise too_large(f"the workflow is nested deeper than {limits.max_depth} levels")
        if isinstance(here, dict) and here.get("__type") == _ASSET_TYPE:
            yield here
        else:
            inner = here.values() if isinstance(here, dict) else here
            todo.extend((item, depth + 1) for item in inner)


def _reference(node_id: str, field: str, found: Mapping[str, Any]) -> AssetReference:
    info = found.get("info")
    shown = info.get("id") if isinstance(info, dict) else None
    if not isinstance(shown, str):
        return AssetReference(node_id, field, None, "")
    try:
        return AssetReference(node_id, field, UUID(shown), shown)
    except ValueError:
        return AssetReference(node_id, field, None, shown)


def _refuse(faults: Iterator[NodeFault]) -> None:
    found = list(faults)
    if found:
        raise invalid(found)


def _shown(text: str) -> str:
    """Foreign text, safe in a message: ASCII, quoted, short."""
    return json.dumps(text[:100])
