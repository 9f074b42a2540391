"""Values that the command line puts into a workflow."""

from pathlib import Path
from typing import Any

import pytest

from gateway.cli.errors import CommandFailed, ExitCode
from gateway.cli.inputs import Input, apply, asset_reference, check, parse, read_workflow


def workflow() -> dict[str, Any]:
    return {"3": {"class_type": "KSampler", "inputs": {"steps": 20, "model": ["4", 0]}}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3.steps=30", 30),
        ("3.steps=0.5", 0.5),
        ("3.steps=true", True),
        ('3.steps=["4", 0]', ["4", 0]),
        ("3.steps=a cat", "a cat"),
        ("3.steps=", ""),
        ("3.steps=a=b", "a=b"),
        ('3.steps="30"', "30"),
    ],
)
def test_values_are_json_where_they_can_be(text: str, value: object) -> None:
    assert parse(text) == Input("3", "steps", value)


@pytest.mark.parametrize("text", ["steps=3", "3.steps", "=3", ".steps=3", "3.=1", ""])
def test_anything_else_is_wrong_usage(text: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        parse(text)
    assert failed.value.code is ExitCode.USAGE


def test_the_node_ends_at_the_first_dot() -> None:
    assert parse("3.text.a=1") == Input("3", "text.a", 1)


def test_a_file_must_be_there(tmp_path: Path) -> None:
    there = tmp_path / "cat.png"
    there.touch()
    assert parse(f"3.image=@{there}") == Input("3", "image", file=there)
    with pytest.raises(CommandFailed, match="there is no file"):
        parse(f"3.image=@{tmp_path}/dog.png")


def test_unknown_nodes_and_fields_are_named_with_those_there_are() -> None:
    with pytest.raises(CommandFailed, match="no node 4") as node:
        check(workflow(), [Input("4", "steps", 1)])
    assert node.value.details == ("its nodes: 3 (KSampler)",)
    with pytest.raises(CommandFailed, match="no input stepz") as field:
        check(workflow(), [Input("3", "stepz", 1)])
    assert field.value.details == ("its inputs: steps, model",)


def test_inputs_take_their_place_and_the_original_stays() -> None:
    original, cat = workflow(), Path("cat.png")
    changed = apply(original, [Input("3", "steps", 1), Input("3", "model", file=cat)], {cat: "reference"})
    assert changed["3"] == {"class_type": "KSampler", "inputs": {"steps": 1, "model": "reference"}}
    assert original == workflow()


def test_a_reference_says_only_what_is_known() -> None:
    asset = {"id": "a", "hash": "blake3:0", "file_path": None, "size_bytes": 3}
    assert asset_reference(asset) == {"__type": "core/ASSET", "info": {"id": "a", "hash": "blake3:0"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ("[]", "not a workflow"), ('{"nodes": []}', "editor's format")],
)
def test_files_that_are_no_workflow(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "w.json"
    file.write_text(content)
    with pytest.raises(CommandFailed, match=message) as failed:
        read_workflow(file)
    assert failed.value.code is ExitCode.USAGE


def test_a_workflow_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="No such file"):
        read_workflow(tmp_path / "w.json")
