"""`/api/v2/jobs`: submit, read, list, cancel."""

import re
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from comfyfleet.execution.v1.execution_service_pb2 import (
    CancelJobRequest,
    DuplicatePolicy,
    GetJobRequest,
    GetJobWorkflowRequest,
    ListJobsRequest,
    SubmitJobRequest,
)
from comfyfleet.execution.v1.job_pb2 import Requirements
from gateway.routes.comfy_v2 import bodies
from gateway.routes.comfy_v2.base import ComfyV2Routes, field_error, json_response, resource_id
from libs.errors import InvalidArgument

RESERVED = ("webhook_url", "inputs")
EXTRA_DATA_KEYS = frozenset({"api_key_comfy_org"})
MAX_METADATA = 16
_METADATA_FILTER = re.compile(r"metadata\[(.+)\]")


class Jobs(ComfyV2Routes):
    """Endpoints over ExecutionService."""

    async def submit(self, request: Request) -> Response:
        """POST /jobs. 201 once the job is stored; an idempotency key works once, as the standard says."""
        session = await self.sessions.of(request)
        body = await self.json_body(request)
        answer = await self.backends.execution.SubmitJob(
            SubmitJobRequest(
                workflow=workflow_of(body),
                extra_data=extra_data_of(body),
                labels=metadata_of(body),
                request_id=idempotency_key(request),
                duplicate_policy=DuplicatePolicy.DUPLICATE_POLICY_REFUSE,
                requirements=requirements_of(body),
                priority=priority_of(body),
            ),
            metadata=session.metadata,
        )
        job = self.bodies(request, session).job(answer.job)
        return json_response(job, 201, {"location": job["urls"]["self"]})

    async def get(self, request: Request) -> Response:
        """GET /jobs/{id}: the authoritative state."""
        session = await self.sessions.of(request)
        answer = await self.backends.execution.GetJob(
            GetJobRequest(job_id=resource_id(request, "JOB_NOT_FOUND")), metadata=session.metadata
        )
        return json_response(self.bodies(request, session).job(answer.job))

    async def list(self, request: Request) -> Response:
        """GET /jobs, an addition to the standard in the shape that its official SDK reads."""
        session = await self.sessions.of(request)
        query = listing_of(request)
        answer = await self.backends.execution.ListJobs(query, metadata=session.metadata)
        return json_response(
            {
                "jobs": [bodies.listed(job) for job in answer.jobs],
                "next_cursor": answer.next_page_token or None,
            }
        )

    async def workflow(self, request: Request) -> Response:
        """GET /jobs/{id}/workflow: always the API-format graph that was submitted."""
        session = await self.sessions.of(request)
        answer = await self.backends.execution.GetJobWorkflow(
            GetJobWorkflowRequest(job_id=resource_id(request, "JOB_NOT_FOUND")), metadata=session.metadata
        )
        # The graph goes out word for word: parsing it again would cost time and could change numbers.
        return Response(b'{"format":"api","workflow":' + answer.workflow + b"}", media_type="application/json")

    async def cancel(self, request: Request) -> Response:
        """POST /jobs/{id}/cancel: idempotent; a finished job is answered as it is."""
        session = await self.sessions.of(request)
        answer = await self.backends.execution.CancelJob(
            CancelJobRequest(job_id=resource_id(request, "JOB_NOT_FOUND")), metadata=session.metadata
        )
        return json_response(self.bodies(request, session).job(answer.job))


def workflow_of(body: dict[str, Any]) -> bytes:
    """The graph, serialised again: what was parsed is what is stored."""
    for name in RESERVED:
        if name in body:
            raise field_error(name, "is reserved and not accepted yet")
    workflow = body.get("workflow")
    if not isinstance(workflow, dict):
        raise InvalidArgument(
            "WORKFLOW_INVALID",
            "workflow must be an object in API format",
            fields={"workflow": "must be an object"},
        )
    return orjson.dumps(workflow)


def extra_data_of(body: dict[str, Any]) -> dict[str, str]:
    """The closed object of per-prompt secrets: strings under known keys."""
    extra = body.get("extra_data")
    if extra is None:
        return {}
    if not isinstance(extra, dict):
        raise field_error("extra_data", "must be an object")
    for name, value in extra.items():
        if name not in EXTRA_DATA_KEYS:
            raise field_error("extra_data", f"has an unknown key: {name[:100]}")
        if not isinstance(value, str):
            raise field_error(f"extra_data.{name}", "must be a string")
    return extra


def metadata_of(body: dict[str, Any]) -> dict[str, str]:
    """The caller's labels, an addition that the official SDK sends."""
    metadata = body.get("metadata")
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise _bad_metadata("metadata must be an object")
    if len(metadata) > MAX_METADATA:
        raise _bad_metadata(f"metadata has {len(metadata)} pairs, at most {MAX_METADATA} are allowed")
    for name, value in metadata.items():
        if not isinstance(value, str) or len(value) > 255 or not 1 <= len(name) <= 63:
            raise _bad_metadata(f"metadata key {name[:63]!r}: 1 to 63 characters, its value a string of at most 255")
    return metadata


def requirements_of(body: dict[str, Any]) -> Requirements:
    """What the job asks of a runner, an addition: `"requirements": {"tags": […], "runner_id": …}`."""
    wanted = body.get("requirements")
    if wanted is None:
        return Requirements()
    if not isinstance(wanted, dict):
        raise field_error("requirements", "must be an object")
    tags, runner_id = wanted.get("tags") or [], wanted.get("runner_id") or ""
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise field_error("requirements.tags", "must be an array of strings")
    if not isinstance(runner_id, str):
        raise field_error("requirements.runner_id", "must be a string")
    return Requirements(tags=tags, runner_id=runner_id)


def priority_of(body: dict[str, Any]) -> int:
    """Higher goes first within the account, an addition."""
    priority = body.get("priority", 0)
    if not isinstance(priority, int) or isinstance(priority, bool) or not -100 <= priority <= 100:
        raise field_error("priority", "must be an integer between -100 and 100")
    return priority


def _bad_metadata(message: str) -> InvalidArgument:
    return InvalidArgument("METADATA_INVALID", message, fields={"metadata": message})


def idempotency_key(request: Request) -> str:
    """The Idempotency-Key header, empty when absent."""
    key = request.headers.get("idempotency-key", "")
    if len(key) > 255:
        raise field_error("Idempotency-Key", "must be at most 255 characters")
    return key


def listing_of(request: Request) -> ListJobsRequest:
    """Query of a listing: `limit`, `cursor`, `status` (comma-separated), `metadata[key]=value`."""
    query = request.query_params
    limit = query.get("limit") or "50"
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= 1000):
        raise field_error("limit", "must be an integer between 1 and 1000")
    words = [word for word in query.get("status", "").split(",") if word]
    if unknown := [word for word in words if word not in bodies.STATE]:
        raise field_error("status", f"has an unknown word: {unknown[0][:50]}")
    filters = {match[1]: value for name, value in query.multi_items() if (match := _METADATA_FILTER.fullmatch(name))}
    return ListJobsRequest(
        page_size=int(limit),
        page_token=query.get("cursor", ""),
        states=[bodies.STATE[word] for word in words],
        labels=filters,
    )
