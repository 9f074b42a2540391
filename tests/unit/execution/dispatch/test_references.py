"""Asset references in graphs and the names that replace them."""

from uuid import UUID, uuid4

from services.execution.dispatch.references import referenced, replaced, staged_name

PHOTO, MASK = uuid4(), uuid4()


def reference(asset_id: UUID) -> dict[str, object]:
    return {"__type": "core/ASSET", "info": {"id": str(asset_id)}}


GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": reference(PHOTO)}},
    "2": {"class_type": "Stack", "inputs": {"list": {"__value__": [reference(MASK)]}}},
    "3": {"class_type": "Scale", "inputs": {"image": ["1", 0], "width": 8}},
}


def test_references_are_found_wherever_they_stand() -> None:
    assert referenced(GRAPH) == {PHOTO, MASK}


def test_each_reference_becomes_its_file_and_all_else_stays() -> None:
    done = replaced(GRAPH, {PHOTO: "comfyfleet/a.png", MASK: "comfyfleet/b.png"})
    assert done["1"]["inputs"] == {"image": "comfyfleet/a.png"}
    assert done["2"]["inputs"] == {"list": {"__value__": ["comfyfleet/b.png"]}}
    assert done["3"] == GRAPH["3"]


def test_the_graph_itself_is_left_as_it_was() -> None:
    replaced(GRAPH, {PHOTO: "a", MASK: "b"})
    assert referenced(GRAPH) == {PHOTO, MASK}


def test_the_extension_is_kept_where_it_is_plain() -> None:
    names = [staged_name("ab", path) for path in ("x/photo.PNG", "photo", "photo.p/g", "photo.ünï", "a.toolongsuffix")]
    assert names == ["ab.png", "ab", "ab", "ab", "ab"]
