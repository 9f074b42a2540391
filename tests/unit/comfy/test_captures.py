"""Everything that real servers were seen to say is understood."""

import json
from pathlib import Path

import pytest

from libs.comfy import Outcome
from libs.comfy.history import HistoryEntry, parse_history
from libs.comfy.messages import Cached, Error, Event, Executed, Executing, ExecutionStart, Success, Unknown, parse_frame
from libs.comfy.queue import parse_queue
from libs.comfy.stats import parse_stats
from tests.unit.comfy.captured import CAPTURES, answers, one, rows

every_capture = pytest.mark.parametrize("capture", CAPTURES, ids=lambda file: f"{file.parent.name}-{file.stem}")


def events(capture: Path) -> list[Event]:
    return [parse_frame(json.dumps(row["json"])) for row in rows(capture, "ws_text") if row.get("json")]


def entries(capture: Path) -> list[HistoryEntry]:
    return [entry for answer in answers(capture, "/history") for entry in parse_history(answer).values()]


@every_capture
def test_every_message_is_known_or_of_a_kind_that_may_be_unknown(capture: Path) -> None:
    unknown = {event.type for event in events(capture) if isinstance(event, Unknown)}
    assert all(kind == "logs" or kind.startswith("assets.") for kind in unknown)


@every_capture
def test_every_history_and_queue_answer_is_understood(capture: Path) -> None:
    for entry in entries(capture):
        assert (entry.failure is not None) == (entry.outcome is Outcome.ERROR)
        if entry.failure:
            assert entry.failure.message
            assert entry.failure.node_id
            assert entry.failure.exception_type
    for answer in filter(None, answers(capture, "/queue")):
        pending = parse_queue(answer).pending
        assert len(pending) == len(answer["queue_pending"])
        assert list(pending) == sorted(pending, key=lambda item: item.number)
    for answer in filter(None, answers(capture, "/system_stats")):
        assert parse_stats(answer).devices


@pytest.mark.parametrize("version", ["v0.33.0", "v0.29.0", "v0.3.64", "v2024-03"])
def test_a_plain_run(version: str) -> None:
    run = events(one(version, "s01"))
    kinds = [type(event) for event in run]
    assert kinds.index(ExecutionStart) < kinds.index(Cached) < kinds.index(Executing) < kinds.index(Executed)
    assert isinstance(run[-1], Executing)
    assert run[-1].node is None
    assert (Success in kinds) == (version != "v2024-03")
    (shown,) = [event for event in run if isinstance(event, Executed)]
    (entry,) = entries(one(version, "s01"))
    assert entry.outcome is Outcome.SUCCESS
    assert entry.files == shown.outputs
    assert (entry.started_ms is None) == (version == "v2024-03")


@pytest.mark.parametrize("version", ["v0.33.0", "v0.3.64", "v2024-03"])
def test_failures(version: str) -> None:
    failures = [entry.failure for entry in entries(one(version, "s06")) if entry.failure]
    assert [failure.is_out_of_memory for failure in failures[:3]] == [False, True, False]
    assert failures[0].message == "deliberate failure"
    assert failures[0].exception_type == "ValueError"
    assert failures[0].traceback


def test_a_blocked_branch_says_error_and_succeeds() -> None:
    capture = one("v0.33.0", "s06")
    blocked = [
        event for event in events(capture) if isinstance(event, Error) and "Blocked" in event.failure.exception_type
    ]
    ends = {entry.prompt_id: entry.outcome for entry in entries(capture)}
    assert blocked
    assert all(ends[event.prompt_id] is Outcome.SUCCESS for event in blocked)


@pytest.mark.parametrize("version", ["v0.33.0", "v2024-03"])
def test_interrupts_are_no_errors(version: str) -> None:
    assert {entry.outcome for entry in entries(one(version, "s07"))} == {Outcome.INTERRUPTED}


def test_text_is_data() -> None:
    (entry,) = entries(one("v0.33.0", "s05"))
    assert [(output.kind, output.node_id) for output in entry.data] == [("text", "6")]
    assert entry.files
