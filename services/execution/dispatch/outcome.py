"""What the end of an attempt means. Pure: from what a runner said to what the job's owner is told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from libs.comfy import ExecutionFailure, HistoryEntry
from libs.comfy import Outcome as Ended
from services.execution.domain import FailureClass, JobState

_MAX_MESSAGE = 4000
_MAX_TRACEBACK = 16_000
_INSTALLATION = frozenset({"missing_node_type", "value_not_in_list", "custom_validation_failed"})
_FAILED_VALIDATION = "prompt_outputs_failed_validation"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. No failure class means success.

    `elsewhere` is true for a refusal that only says what this one runner has installed.
    """

    failure: FailureClass | None = None
    code: str = ""
    message: str = ""
    node_id: str = ""
    class_type: str = ""
    traceback: str = ""
    exception_type: str = ""
    node_errors_json: str = ""
    elsewhere: bool = False

    @property
    def job_state(self) -> JobState:
        """The state of a job whose last attempt this was."""
        if self.failure is None:
            return JobState.SUCCEEDED
        return JobState.CANCELED if self.failure is FailureClass.CANCELED else JobState.FAILED


SUCCESS = Outcome()
CANCELED = Outcome(FailureClass.CANCELED, "canceled", "the job was cancelled")
NOT_STOPPED = Outcome(FailureClass.CANCELED, "canceled", "the runner did not stop in time and is left alone")
INTERRUPTED = Outcome(FailureClass.CANCELED, "interrupted", "the prompt was interrupted on the runner")
SECRETS_LOST = Outcome(
    FailureClass.INVALID,
    "extra_data_lost",
    "the job's extra_data is never stored and was lost in a restart: submit the job again",
)


def runner_fault(message: str) -> Outcome:
    """The runner, not the job, is to blame."""
    return Outcome(FailureClass.RUNNER_FAULT, "runner_fault", message)


def runner_lost(last: Outcome, attempts: int) -> Outcome:
    """No further attempt is made after this many."""
    message = f"given up after {attempts} attempts; the last: {last.message}"
    return Outcome(FailureClass.RUNNER_FAULT, "runner_lost", message)


def of_history(entry: HistoryEntry) -> Outcome:
    """The outcome that a history entry tells."""
    match entry.outcome:
        case Ended.SUCCESS:
            return SUCCESS
        case Ended.INTERRUPTED:
            return INTERRUPTED
        case Ended.ERROR:
            return _of_failure(entry.failure) if entry.failure else _UNEXPLAINED


def of_refusal(error: Mapping[str, Any], node_errors: Mapping[str, Any]) -> Outcome:
    """The outcome of a graph that the runner refused with 400."""
    node_id, node, first = _first_node_error(node_errors)
    kind = str(error.get("type") or "")
    text = first if kind == _FAILED_VALIDATION and first else error
    return Outcome(
        FailureClass.INVALID,
        code="prompt_refused",
        message=_text(text),
        node_id=node_id or str(_extra(error).get("node_id") or ""),
        class_type=str(node.get("class_type") or _extra(error).get("class_type") or ""),
        exception_type=str(text.get("type") or kind),
        node_errors_json=json.dumps(node_errors) if node_errors else "",
        elsewhere=_about_installation(kind, node_errors),
    )


_UNEXPLAINED = Outcome(FailureClass.NODE_ERROR, "node_execution_error", "the runner reports a failure without a reason")


def _of_failure(failure: ExecutionFailure) -> Outcome:
    out_of_memory = failure.is_out_of_memory
    return Outcome(
        FailureClass.OUT_OF_MEMORY if out_of_memory else FailureClass.NODE_ERROR,
        code="out_of_memory" if out_of_memory else "node_execution_error",
        message=failure.message[:_MAX_MESSAGE],
        node_id=failure.node_id or "",
        class_type=failure.node_type or "",
        traceback="".join(failure.traceback)[-_MAX_TRACEBACK:],
        exception_type=failure.exception_type,
    )


def _first_node_error(node_errors: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    for node_id, node in node_errors.items():
        for error in node.get("errors") or ():
            return node_id, node, error
    return "", {}, {}


def _about_installation(kind: str, node_errors: Mapping[str, Any]) -> bool:
    kinds = {error.get("type") for node in node_errors.values() for error in node.get("errors") or ()}
    # Servers before 0.11.1 call a missing node class `invalid_prompt`.
    return kind in _INSTALLATION or (kind == "invalid_prompt" and not kinds) or bool(kinds & _INSTALLATION)


def _extra(error: Mapping[str, Any]) -> Mapping[str, Any]:
    extra = error.get("extra_info")
    return extra if isinstance(extra, dict) else {}


def _text(error: Mapping[str, Any]) -> str:
    parts = [str(error.get(key) or "") for key in ("message", "details")]
    return (": ".join(filter(None, parts)) or "the runner refused the graph")[:_MAX_MESSAGE]
