"""What no capture shows and a client still meets."""

import json
import struct

import pytest

from libs.comfy.attribution import Attribution
from libs.comfy.history import DataOutput, Outcome, OutputFile, parse_entry, parse_outputs
from libs.comfy.messages import Executing, Preview, Text, Unknown, parse_frame
from libs.comfy.queue import Pending, Running, parse_queue
from libs.comfy.reading import read_json
from libs.comfy.stats import parse_stats
from libs.comfy.versions import ServerVersion

DESCRIBED = json.dumps({"node_id": "2", "prompt_id": "p", "image_type": "image/png"}).encode()


@pytest.mark.parametrize(
    "frame",
    ["", "{", "[]", "null", "7", '"x"', '{"type": 5}', '{"type": "status"}', '{"type": "executing", "data": []}',
     '{"type": "executed", "data": {"prompt_id": "p"}}', '{"type": "progress_state", "data": {"nodes": 1}}', "[" * 9999,
     '{"type": "execution_start", "data": {}}', '{"type": "execution_error", "data": null}', '{"type": "made.up"}',
     b"", b"\0", b"\0\0\0\1", b"\0\0\0\3\0\0\0\x09x", b"\0\0\0\4\xff\xff\xff\xff{}", b"\0\0\0\4\0\0\0\2{]",
     b"\0\0\0\x63abc"],
)  # fmt: skip
def test_frames_that_make_no_sense_are_unknown(frame: str | bytes) -> None:
    assert isinstance(parse_frame(frame), Unknown)


def test_binary_frames() -> None:
    assert parse_frame(struct.pack(">II", 1, 1) + b"jpg") == Preview(b"jpg", "image/jpeg")
    assert parse_frame(struct.pack(">II", 1, 2) + b"png") == Preview(b"png", "image/png")
    assert parse_frame(struct.pack(">II", 3, 1) + b"6hello") == Text("6", "hello")
    described = struct.pack(">II", 4, len(DESCRIBED)) + DESCRIBED + b"png"
    assert parse_frame(described) == Preview(b"png", "image/png", "2", "p")


def test_pictures_and_text_belong_to_what_ran_last() -> None:
    attribution = Attribution()
    attribution.apply(Executing("p", "2"))
    assert attribution.apply(Preview(b"", "image/png")) == Preview(b"", "image/png", "2", "p")
    assert attribution.apply(Text("6", "x")) == Text("6", "x", "p")
    assert attribution.apply(Preview(b"", "image/png", "1", "q")).prompt_id == "q"  # type: ignore[union-attr]


def test_json_of_python_servers() -> None:
    assert read_json('{"a": NaN, "b": [Infinity, -Infinity], "c": "\\ud800"}') == {
        "a": None,
        "b": [None, None],
        "c": "?",
    }
    assert read_json(b'"\xff"') == "\ufffd"
    for wrong in ("", "<html>", "[" * 100_000):
        with pytest.raises(ValueError):  # noqa: PT011
            read_json(wrong)


def test_outputs_of_every_shape() -> None:
    shown = {
        "images": [{"filename": "a.png", "subfolder": "s", "type": "temp"}],
        "gifs": [{"filename": "b.mp4"}],
        "text": ["hello"],
        "mixed": [{"filename": "c"}, "rest", {"filename": 5}],
        "number": 7,
        "nothing": None,
        "empty": [],
        "animated": [False],
    }
    assert list(parse_outputs("9", shown)) == [
        OutputFile("9", "a.png", "s", "temp", "images"),
        OutputFile("9", "b.mp4", "", "output", "gifs"),
        DataOutput("9", "text", ["hello"]),
        OutputFile("9", "c", "", "output", "mixed"),
        DataOutput("9", "mixed", ["rest", {"filename": 5}]),
        DataOutput("9", "number", 7),
    ]


def test_a_history_entry_without_status() -> None:
    assert parse_entry("p", {"outputs": {"9": {"text": ["x"]}}, "status": None}).outcome is Outcome.SUCCESS
    nothing = parse_entry("p", {})
    assert nothing.outcome is Outcome.ERROR
    assert nothing.failure


def test_the_queue_is_searched_by_id_and_by_marker() -> None:
    queue = parse_queue(
        {
            "queue_running": [[0, "r", {}, {}, []]],
            "queue_pending": [[3, "c", {}, {"comfyfleet": "ours"}, []], [1.0, "b", {}, {}, []], [1, "a"]],
        }
    )
    assert queue.find("r") == Running("r")
    assert [queue.find(wanted) for wanted in ("a", "b", "ours")] == [Pending("a", 0), Pending("b", 1), Pending("c", 2)]
    assert queue.find("x") is None
    assert queue.runs_only("r")


@pytest.mark.parametrize("answer", [None, [], {}, {"queue_running": []}, {"queue_running": [5], "queue_pending": []}])
def test_a_queue_that_is_not_understood_is_not_an_empty_one(answer: object) -> None:
    with pytest.raises(ValueError, match="no queue"):
        parse_queue(answer)


@pytest.mark.parametrize(
    ("said", "chooses", "by_id"),
    [
        ("0.33.0", True, True),
        ("v0.3.64-3-gabcdef", True, True),
        ("0.3.55", True, False),
        ("0.3.43", False, False),
        (None, False, False),
        ("nightly", False, False),
    ],
)
def test_versions(said: object, chooses: bool, by_id: bool) -> None:
    version = ServerVersion.parse(said)
    assert (version.takes_prompt_id, version.interrupts_by_id) == (chooses, by_id)


def test_stats_of_something_else() -> None:
    with pytest.raises(ValueError, match="no system"):
        parse_stats({"status": "ok"})
