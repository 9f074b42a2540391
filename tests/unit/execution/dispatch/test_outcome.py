"""What the ends that runners report mean for a job."""

from typing import Any

import pytest

from libs.comfy.history import parse_entry
from services.execution.dispatch.outcome import Outcome, of_history, of_refusal, runner_fault, runner_lost
from services.execution.domain import FailureClass, JobState


def ended(status: Any, outputs: Any = None) -> Outcome:
    return of_history(parse_entry("p", {"status": status, "outputs": outputs or {}}))


def failed(exception: str, **more: Any) -> Any:
    data = {"node_id": "7", "node_type": "KSampler", "exception_type": exception, "exception_message": "no", **more}
    return {"status_str": "error", "completed": False, "messages": [["execution_error", data]]}


def test_success() -> None:
    outcome = ended({"status_str": "success", "completed": True, "messages": []})
    assert (outcome.failure, outcome.job_state) == (None, JobState.SUCCEEDED)


def test_a_failed_node_is_named() -> None:
    outcome = ended(failed("RuntimeError", traceback=["line 1\n", "line 2\n"]))
    assert (outcome.failure, outcome.code) == (FailureClass.NODE_ERROR, "node_execution_error")
    assert (outcome.node_id, outcome.class_type, outcome.traceback) == ("7", "KSampler", "line 1\nline 2\n")


@pytest.mark.parametrize("name", ["torch.OutOfMemoryError", "torch.cuda.OutOfMemoryError"])
def test_too_little_memory_has_its_own_class(name: str) -> None:
    assert ended(failed(name)).failure is FailureClass.OUT_OF_MEMORY


def test_an_interrupt_ends_a_job_cancelled() -> None:
    messages = [["execution_interrupted", {"prompt_id": "p", "node_id": "7"}]]
    outcome = ended({"status_str": "error", "completed": False, "messages": messages})
    assert (outcome.failure, outcome.job_state) == (FailureClass.CANCELED, JobState.CANCELED)


def test_a_blocked_branch_does_not_fail_a_success() -> None:
    status = failed("ExecutionBlocked") | {"status_str": "success"}
    assert ended(status).failure is None


def test_a_missing_class_is_about_this_runner_only() -> None:
    error = {"type": "missing_node_type", "message": "Node 'X' not found", "details": "Node ID '#4'"}
    outcome = of_refusal(error | {"extra_info": {"node_id": "4", "class_type": "X"}}, {})
    assert (outcome.failure, outcome.elsewhere) == (FailureClass.INVALID, True)
    assert (outcome.node_id, outcome.class_type, outcome.exception_type) == ("4", "X", "missing_node_type")


def test_a_missing_model_is_about_this_runner_only() -> None:
    fault = {"type": "value_not_in_list", "message": "Value not in list", "details": "ckpt_name: 'x' not in []"}
    nodes = {"2": {"errors": [fault], "dependent_outputs": ["9"], "class_type": "CheckpointLoaderSimple"}}
    outcome = of_refusal({"type": "prompt_outputs_failed_validation", "message": "failed", "details": ""}, nodes)
    assert outcome.elsewhere
    assert outcome.message == "Value not in list: ckpt_name: 'x' not in []"
    assert (outcome.node_id, outcome.exception_type) == ("2", "value_not_in_list")
    assert "CheckpointLoaderSimple" in outcome.node_errors_json


def test_a_wrong_value_is_wrong_everywhere() -> None:
    nodes = {"2": {"errors": [{"type": "value_smaller_than_min", "message": "m", "details": "d"}], "class_type": "C"}}
    error = {"type": "prompt_outputs_failed_validation", "message": "failed", "details": ""}
    assert not of_refusal(error, nodes).elsewhere


def test_what_is_told_of_a_lost_runner_says_how_often_it_was_tried() -> None:
    outcome = runner_lost(runner_fault("it went away"), 3)
    assert (outcome.code, outcome.job_state) == ("runner_lost", JobState.FAILED)
    assert outcome.message == "given up after 3 attempts; the last: it went away"
