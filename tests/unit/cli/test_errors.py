"""Errors and exit codes."""

import pytest

from gateway.cli.errors import ExitCode, refusal
from gateway.cli.results import exit_code, failure_of


@pytest.mark.parametrize(
    ("status", "code"), [("succeeded", 0), ("failed", 1), ("canceled", 3), ("expired", 4), ("running", 0)]
)
def test_the_exit_code_tells_the_result(status: str, code: int) -> None:
    assert exit_code({"status": status}) == code


def test_an_envelope_is_told_with_its_details() -> None:
    details = {
        "fields": {"expires_in": "must be an integer"},
        "node_errors": {"3": [{"field": "steps", "reason": "missing"}], "4": "odd"},
        "job_id": "abc",
    }
    error = refusal(422, {"error": {"code": "invalid_workflow", "message": "no", "details": details}})
    assert error.message == "no (invalid_workflow)"
    assert error.details == [
        "expires_in: must be an integer",
        "node 3: steps: missing",
        "node 4: odd",
        "job_id: abc",
    ]
    assert (error.status, error.word, error.code) == (422, "invalid_workflow", ExitCode.FAILED)


def test_a_flat_error_is_told() -> None:
    assert refusal(404, {"status": 404, "message": "not here"}).message == "not here (HTTP 404)"
    assert refusal(418, "tea").message == "the request was refused (HTTP 418)"


def test_a_failed_job_tells_node_exception_and_the_end_of_the_traceback() -> None:
    error = {
        "code": "node_execution_error",
        "message": "boom",
        "node_id": "3",
        "class_type": "KSampler",
        "exception_type": "ValueError",
        "failure_class": "node_error",
        "traceback": "\n".join(f"line {number}" for number in range(100)),
    }
    told = failure_of(error)
    assert told.message == "boom (node_execution_error)"
    assert told.details[:3] == ["node: 3 (KSampler)", "exception: ValueError", "kind: node_error"]
    assert told.details[-1] == "line 99"
    assert len(told.details) == 18
