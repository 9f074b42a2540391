"""What makes a graph acceptable."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import InvalidArgument
from services.execution.graph import GraphLimits, NodeFault, read_graph, report, unknown_classes

LIMITS = GraphLimits(max_bytes=1 << 20, max_nodes=100, max_depth=20)


def read(document: Any, limits: GraphLimits = LIMITS) -> Any:
    """Read a document that is written as JSON first."""
    return read_graph(json.dumps(document).encode(), limits)


def node(**inputs: Any) -> dict[str, Any]:
    """A node with these inputs."""
    return {"class_type": "A", "inputs": inputs}


def faults(document: Any) -> dict[str, Any]:
    """The node errors of a refused document."""
    with pytest.raises(InvalidArgument) as refused:
        read(document)
    assert refused.value.reason == "WORKFLOW_INVALID"
    named: dict[str, Any] = json.loads(refused.value.metadata["node_errors"])
    return named


def reason_of(data: bytes, limits: GraphLimits = LIMITS) -> str:
    """Why a text is refused."""
    with pytest.raises(InvalidArgument) as refused:
        read_graph(data, limits)
    return refused.value.reason


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"\xef\xbb\xbf{}",
        '{"1": {"class_type": "A", "inputs": {}}}'.encode("utf-16"),
        b'{"1": {"class_type": "A", "inputs": {"x": NaN}}}',
        b'{"1": {"class_type": "A", "inputs": {"x": -Infinity}}}',
        b'{"1": {"class_type": "A", "inputs": {"x": ' + b"1" * 5000 + b"}}}",
        b'{"1": {"class_type": "A", "inputs": {}}, "1": {"class_type": "B", "inputs": {}}}',
        b'{"1": {"class_type": "A", "inputs": {"x": 1, "x": 2}}}',
    ],
)
def test_what_is_no_graph_is_invalid(data: bytes) -> None:
    assert reason_of(data) == "WORKFLOW_INVALID"


def test_the_save_format_of_the_editor_is_told_apart() -> None:
    assert reason_of(b'{"nodes": [{"id": 1}], "links": [], "version": 0.4}') == "WORKFLOW_FORMAT_UI"


def test_limits_of_size() -> None:
    assert reason_of(b" " * 11, GraphLimits(max_bytes=10)) == "WORKFLOW_TOO_LARGE"
    assert reason_of(json.dumps({str(n): node() for n in range(101)}).encode()) == "WORKFLOW_TOO_LARGE"


@pytest.mark.parametrize("depth", [25, 900, 100_000])
def test_limits_of_depth(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    text = b'{"1": {"class_type": "A", "inputs": {"x": ' + nested + b"}}}"
    assert reason_of(text) == "WORKFLOW_TOO_LARGE"


@pytest.mark.parametrize(
    ("broken", "field", "reason"),
    [
        (1, "", "not_an_object"),
        ({"inputs": {}}, "class_type", "missing_class_type"),
        ({"class_type": "", "inputs": {}}, "class_type", "missing_class_type"),
        ({"class_type": "\0", "inputs": {}}, "class_type", "missing_class_type"),
        ({"class_type": "A"}, "inputs", "missing_inputs"),
        ({"class_type": "A", "inputs": []}, "inputs", "missing_inputs"),
        (node(x=["404", 0]), "x", "link_to_unknown_node"),
        (node(x=["7", 0]), "x", "cycle"),
    ],
)
def test_broken_nodes_are_named(broken: Any, field: str, reason: str) -> None:
    assert faults({"1": node(), "7": broken}) == {"7": [{"field": field, "reason": reason}]}


def test_only_the_nodes_of_a_cycle_are_named() -> None:
    document = {"a": node(x=["b", 0]), "b": node(x=["c", 0]), "c": node(x=["b", 1]), "d": node(x=["a", 0])}
    assert set(faults(document)) == {"b", "c"}


def test_lists_that_are_no_links_are_values() -> None:
    assert read({"1": node(a=["9"], b=["9", True], c=["9", "0"], d=[9, 0], e=["9", 0, 1])}).node_classes == {"A"}


def test_a_deep_chain_of_many_nodes_is_read() -> None:
    chain = {str(n): node(x=[str(n - 1), 0]) if n else node() for n in range(10_000)}
    assert len(read(chain, GraphLimits()).classes) == 10_000


def test_asset_references_are_found_anywhere_in_inputs() -> None:
    one, two = "9f8a1c0d-2b3e-4f56-8a7b-1c2d3e4f5a6b", "not a uuid"
    found = read(
        {
            "1": node(image={"__type": "core/ASSET", "info": {"id": one}}),
            "2": node(list=[{"deep": {"__type": "core/ASSET", "info": {"id": two}}}, {"__type": "core/ASSET"}]),
            "3": node(other={"__type": "core/OTHER", "info": {"id": one}}),
        }
    ).assets
    assert {(a.node_id, a.field, a.shown_id, a.asset_id is None) for a in found} == {
        ("1", "image", one, False),
        ("2", "list", two, True),
        ("2", "list", "", True),
    }


def test_unknown_classes_are_named_by_node() -> None:
    graph = read({"1": node(), "2": {"class_type": "B", "inputs": {}}})
    assert [fault.node_id for fault in unknown_classes(graph, frozenset({"A"}))] == ["2"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_text_is_read_or_refused(data: bytes) -> None:
    try:
        read_graph(data, LIMITS)
    except InvalidArgument as refused:
        refused.message.encode()


names = st.sampled_from([str(n) for n in range(8)])


@given(st.dictionaries(names, st.dictionaries(st.sampled_from("xyz"), names), min_size=1))
def test_a_graph_without_unknown_sources_is_refused_only_for_a_real_cycle(links: dict[str, dict[str, str]]) -> None:
    known = {n: {f: s for f, s in inputs.items() if s in links} for n, inputs in links.items()}
    document = {n: node(**{f: [s, 0] for f, s in inputs.items()}) for n, inputs in known.items()}
    try:
        read(document)
    except InvalidArgument as refused:
        named = json.loads(refused.metadata["node_errors"])
        assert all(known[n][entry["field"]] in named for n, entries in named.items() for entry in entries)
    else:
        assert not has_cycle(known)


def has_cycle(links: dict[str, dict[str, str]]) -> bool:
    """Whether some node reaches itself, found the slow way."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(links[start].values())
        while todo:
            here = todo.pop()
            if here not in seen:
                seen.add(here)
                todo += links[here].values()
        return seen

    return any(start in reach(start) for start in links)


@given(st.lists(st.tuples(st.text(max_size=300), st.text(max_size=6000)), max_size=200))
def test_a_report_fits_into_an_answer(wrong: list[tuple[str, str]]) -> None:
    text = report(NodeFault(node_id, field, "cycle") for node_id, field in wrong)
    assert len(text) < 7000
    assert bool(json.loads(text)) == bool(wrong)
