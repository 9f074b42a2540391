"""What dispatch tells watchers, as messages."""

from uuid import UUID

from comfyfleet.execution.v1.event_pb2 import JobEvent, LiveUpdate, LogEvent, Preview
from comfyfleet.execution.v1.job_pb2 import JobError, Progress
from services.execution import convert
from services.execution.dispatch.outcome import Outcome
from services.execution.dispatch.progress import Snapshot
from services.execution.domain import Attempt, JobState, Output
from services.execution.store.dispatch import NewOutput


def attempt(stored: Attempt) -> JobEvent:
    """An attempt began, moved on or ended."""
    return JobEvent(attempt=convert.attempt(stored))


def status(state: JobState, outcome: Outcome | None = None) -> JobEvent:
    """The job's state changed; a failure comes with its reason."""
    failed = outcome is not None and state is JobState.FAILED
    return convert.status_event(state, error(outcome) if failed and outcome else None)


def output(stored: NewOutput, number: int) -> JobEvent:
    """A result was stored."""
    result = Output(
        stored.asset_id,
        stored.node_id,
        stored.name,
        stored.kind,
        stored.content_type,
        stored.size_bytes,
        stored.hash,
        number,
    )
    return JobEvent(output=convert.output(result))


def warning(message: str) -> JobEvent:
    """A line that the owner should see."""
    return JobEvent(log=LogEvent(level="warning", message=message))


def error(outcome: Outcome) -> JobError:
    """Why a job failed."""
    return JobError(
        failure_class=convert.failure_number(outcome.failure),
        code=outcome.code,
        message=outcome.message,
        node_id=outcome.node_id,
        class_type=outcome.class_type,
        traceback=outcome.traceback,
        exception_type=outcome.exception_type,
        node_errors_json=outcome.node_errors_json,
    )


def progress(snapshot: Snapshot) -> Progress:
    """The latest picture of how far a job is."""
    return Progress(
        value=snapshot.value,
        nodes_done=snapshot.nodes_done,
        nodes_total=snapshot.nodes_total,
        current_node=snapshot.current_node,
        current_node_class=snapshot.current_class,
        step=snapshot.step,
        steps=snapshot.steps,
        message=_line(snapshot),
    )


def committed(job_id: UUID, event: JobEvent) -> LiveUpdate:
    """A durable event for the watchers."""
    return LiveUpdate(job_id=str(job_id), event=event)


def moved(job_id: UUID, latest: Progress) -> LiveUpdate:
    """Progress for the watchers."""
    return LiveUpdate(job_id=str(job_id), progress=latest)


def shown(job_id: UUID, node_id: str, content_type: str, data: bytes) -> LiveUpdate:
    """A preview for the watchers."""
    preview = Preview(node_id=node_id, content_type=content_type, data=data)
    return LiveUpdate(job_id=str(job_id), preview=preview)


def _line(snapshot: Snapshot) -> str:
    if not snapshot.current_node:
        return f"{snapshot.nodes_done} of {snapshot.nodes_total} nodes done"
    name = snapshot.current_class or f"node {snapshot.current_node}"
    return name if snapshot.steps is None else f"{name}: step {snapshot.step} of {snapshot.steps}"
