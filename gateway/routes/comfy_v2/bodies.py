"""Jobs, outputs, progress and assets as Comfy API v2 words them."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from comfyfleet.execution.v1.asset_pb2 import Asset
from comfyfleet.execution.v1.event_pb2 import Preview
from comfyfleet.execution.v1.job_pb2 import (
    FailureClass,
    Job,
    JobError,
    JobState,
    Output,
    OutputKind,
    Progress,
)
from gateway.links import LinkSigner

STATUS: Mapping[JobState.ValueType, str] = {
    JobState.JOB_STATE_QUEUED: "queued",
    JobState.JOB_STATE_RUNNING: "running",
    JobState.JOB_STATE_SUCCEEDED: "succeeded",
    JobState.JOB_STATE_CANCELING: "canceling",
    JobState.JOB_STATE_CANCELED: "canceled",
    JobState.JOB_STATE_FAILED: "failed",
    JobState.JOB_STATE_EXPIRED: "expired",
}
STATE: Mapping[str, JobState.ValueType] = {word: state for state, word in STATUS.items()}
TERMINAL = frozenset({"succeeded", "canceled", "failed", "expired"})
OUTPUT_TYPE: Mapping[OutputKind.ValueType, str] = {
    OutputKind.OUTPUT_KIND_IMAGE: "image",
    OutputKind.OUTPUT_KIND_VIDEO: "video",
    OutputKind.OUTPUT_KIND_AUDIO: "audio",
    OutputKind.OUTPUT_KIND_TEXT: "text",
    OutputKind.OUTPUT_KIND_FILE: "file",
    OutputKind.OUTPUT_KIND_LATENT: "latent",
}


def timestamp(value: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_of(message: Timestamp) -> str:
    """RFC 3339 of a protobuf timestamp."""
    return timestamp(message.ToDatetime(UTC))


class Bodies:
    """Builds response bodies; the links in them open for the account that asked."""

    def __init__(self, links: LinkSigner, base_url: str, account_id: str) -> None:
        self._links = links
        self._base_url = base_url
        self._account_id = account_id

    def job(self, job: Job) -> dict[str, Any]:
        """A job with everything the standard requires; `waiting_reason` and `metadata` are additions."""
        return {
            "id": job.job_id,
            "status": STATUS[job.state],
            "created_at": time_of(job.create_time),
            "started_at": time_of(job.start_time) if job.HasField("start_time") else None,
            "completed_at": time_of(job.end_time) if job.HasField("end_time") else None,
            "expires_at": time_of(job.expire_time),
            "queue_position": job.queue_position if job.HasField("queue_position") else None,
            "progress": progress(job.progress) if job.HasField("progress") else None,
            "outputs": [self.output(output, job.job_id) for output in job.outputs],
            "error": job_error(job.error) if job.HasField("error") else None,
            "metrics": metrics(job),
            "metadata": dict(job.labels),
            "waiting_reason": job.waiting_reason or None,
            "urls": urls(job.job_id),
        }

    def output(self, output: Output, job_id: str) -> dict[str, Any]:
        """One committed output with a fresh link to its bytes."""
        return {
            "node_id": output.node_id,
            "name": output.name,
            "type": OUTPUT_TYPE.get(output.kind, "file"),
            "content_type": output.content_type,
            "size_bytes": output.size_bytes,
            "id": output.asset_id,
            "hash": output.hash or None,
            "job_id": job_id,
            **self._content(output.asset_id),
        }

    def asset(self, asset: Asset, created_new: bool | None = None) -> dict[str, Any]:
        """An asset record with a fresh link; `created_new` only on answers to a create."""
        body: dict[str, Any] = {
            "id": asset.asset_id,
            "hash": asset.hash or None,
            "size_bytes": asset.size_bytes,
            "content_type": asset.content_type,
            "file_path": asset.file_path or None,
            "created_at": time_of(asset.create_time),
            "expires_at": time_of(asset.expire_time) if asset.HasField("expire_time") else None,
            "job_id": asset.job_id or None,
            **self._content(asset.asset_id),
        }
        return body if created_new is None else body | {"created_new": created_new}

    def _content(self, asset_id: str) -> dict[str, str]:
        link = self._links.content(asset_id, self._account_id)
        return {"url": self._base_url + link.path, "url_expires_at": timestamp(link.expire_time)}


def listed(job: Job) -> dict[str, Any]:
    """A job in a list: the lighter shape that the official SDK reads."""
    changed = job.end_time if job.HasField("end_time") else job.start_time
    changed = changed if changed.seconds else job.create_time
    return {
        "id": job.job_id,
        "status": STATUS[job.state],
        "create_time": time_of(job.create_time),
        "update_time": time_of(changed),
        "metadata": dict(job.labels),
        "urls": urls(job.job_id),
    }


def urls(job_id: str) -> dict[str, str]:
    """Follow-up links, relative to the host as the standard allows."""
    self_url = f"/api/v2/jobs/{job_id}"
    return {"self": self_url, "events": f"{self_url}/events", "cancel": f"{self_url}/cancel"}


def progress(snapshot: Progress) -> dict[str, Any]:
    """A progress snapshot; complete, so one re-syncs a client."""
    return {
        "value": snapshot.value,
        "nodes_done": snapshot.nodes_done,
        "nodes_total": snapshot.nodes_total,
        "current_node": snapshot.current_node or None,
        "current_node_class": snapshot.current_node_class or None,
        "step": snapshot.step if snapshot.HasField("step") else None,
        "steps": snapshot.steps if snapshot.HasField("steps") else None,
        "message": snapshot.message or None,
    }


def preview(picture: Preview) -> dict[str, Any]:
    """The latest preview picture."""
    return {
        "node_id": picture.node_id,
        "content_type": picture.content_type,
        "data_base64": base64.b64encode(picture.data).decode(),
    }


def job_error(error: JobError) -> dict[str, Any]:
    """Why a job failed; `failure_class` and `exception_type` are additions."""
    return {
        "code": error.code,
        "message": error.message,
        "node_id": error.node_id or None,
        "class_type": error.class_type or None,
        "traceback": error.traceback or None,
        "exception_type": error.exception_type or None,
        "failure_class": FailureClass.Name(error.failure_class).removeprefix("FAILURE_CLASS_").lower(),
    }


def metrics(job: Job) -> dict[str, int | None]:
    """Milliseconds in the queue and in execution; null while not known."""
    started = job.start_time if job.HasField("start_time") else None
    ended = job.end_time if job.HasField("end_time") else None
    return {
        "queue_ms": _milliseconds(job.create_time, started),
        "execution_ms": _milliseconds(started, ended),
    }


def _milliseconds(first: Timestamp | None, last: Timestamp | None) -> int | None:
    if first is None or last is None:
        return None
    return max(0, (last.ToNanoseconds() - first.ToNanoseconds()) // 1_000_000)
