"""`/v1/runner`: register, list, read, change and remove runners, as the runner API documents them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from starlette.responses import Response

from comfyfleet.runner_registry.v1.runner_pb2 import Runner, RunnerState
from comfyfleet.runner_registry.v1.runner_registry_service_pb2 import (
    CreateRunnerRequest,
    DeleteRunnerRequest,
    GetRunnerRequest,
    HeaderMap,
    ListRunnersRequest,
    TagList,
    UpdateRunnerRequest,
)
from gateway import bodies
from gateway.auth import Sessions
from gateway.backends import Backends
from gateway.routes.runner_v1 import fields
from libs.errors import NotFound

MAX_BODY = 1_048_576  # bytes of a JSON call
STATES: Mapping[str, RunnerState.ValueType] = {
    "active": RunnerState.RUNNER_STATE_ACTIVE,
    "disabled": RunnerState.RUNNER_STATE_DISABLED,
}
WORDS = {state: word for word, state in STATES.items()}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Runners:
    """Endpoints over RunnerRegistryService."""

    backends: Backends
    sessions: Sessions

    async def list(self, request: Request) -> Response:
        """GET /v1/runner: one page of the caller's runners, newest first."""
        session = await self.sessions.of(request)
        query = {name: value for name, value in request.query_params.multi_items() if value}
        page, per_page = fields.page_of(query.get("page")), fields.per_page_of(query.get("per_page"))
        state = STATES[fields.state_of(query["status"])] if "status" in query else RunnerState.RUNNER_STATE_UNSPECIFIED
        answer = await self.backends.registry.ListRunners(
            ListRunnersRequest(page_size=per_page, skip=(page - 1) * per_page, state=state),
            metadata=session.metadata,
        )
        return reply({"runners": [runner_body(runner) for runner in answer.runners], "total": answer.total_size})

    async def create(self, request: Request) -> Response:
        """POST /v1/runner: 201 with the runner, which is not contacted before answering."""
        session = await self.sessions.of(request)
        body = await bodies.read_object(request, MAX_BODY)
        answer = await self.backends.registry.CreateRunner(
            CreateRunnerRequest(
                name=fields.name_of(body.get("name")),
                endpoint=fields.endpoint_of(body.get("endpoint")),
                headers=fields.headers_of(given(body, "headers", {})),
                tags=fields.tags_of(given(body, "tags", [])),
            ),
            metadata=session.metadata,
        )
        runner = runner_body(answer.runner)
        return reply(runner, 201, {"location": f"/v1/runner/{runner['id']}"})

    async def get(self, request: Request) -> Response:
        """GET /v1/runner/{id}."""
        session = await self.sessions.of(request)
        answer = await self.backends.registry.GetRunner(
            GetRunnerRequest(runner_id=runner_id(request)), metadata=session.metadata
        )
        return reply(runner_body(answer.runner))

    async def update(self, request: Request) -> Response:
        """PUT /v1/runner/{id}: absent and null members stay as they are."""
        session = await self.sessions.of(request)
        wanted = runner_id(request)
        body = await bodies.read_object(request, MAX_BODY) if await has_body(request) else {}
        answer = await self.backends.registry.UpdateRunner(changes(wanted, body), metadata=session.metadata)
        return reply(runner_body(answer.runner))

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/runner/{id}: 204; a second time 404."""
        session = await self.sessions.of(request)
        await self.backends.registry.DeleteRunner(
            DeleteRunnerRequest(runner_id=runner_id(request)), metadata=session.metadata
        )
        return Response(status_code=204, headers={"cache-control": "no-store"})


def changes(wanted: str, body: dict[str, Any]) -> UpdateRunnerRequest:
    """The members that are set, checked; read-only and unknown ones are ignored."""
    rules: dict[str, Callable[[Any], Any]] = {
        "name": fields.name_of,
        "endpoint": fields.endpoint_of,
        "headers": lambda value: HeaderMap(headers=fields.headers_of(value)),
        "tags": lambda value: TagList(tags=fields.tags_of(value)),
    }
    checked = {name: rule(body[name]) for name, rule in rules.items() if body.get(name) is not None}
    if body.get("status") is not None:
        checked["state"] = STATES[fields.state_of(body["status"])]
    return UpdateRunnerRequest(runner_id=wanted, **checked)


def given(body: dict[str, Any], name: str, default: Any) -> Any:
    """A member, with null counting as absent."""
    value = body.get(name)
    return default if value is None else value


async def has_body(request: Request) -> bool:
    """Whether any byte follows the headers; an empty PUT changes nothing."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def runner_id(request: Request) -> str:
    """The `{id}` of the path; a malformed one is an unknown one."""
    value = str(request.path_params["id"])
    if not _UUID.fullmatch(value):
        raise NotFound("RUNNER_NOT_FOUND", "requested entity not found")
    return value.lower()


def runner_body(runner: Runner) -> dict[str, Any]:
    """Exactly the nine documented members."""
    return {
        "id": runner.runner_id,
        "user_id": runner.account_id,
        "name": runner.name,
        "status": WORDS[runner.state],
        "endpoint": runner.endpoint,
        "tags": list(runner.tags),
        "headers": dict(runner.headers),
        "created_at": whole_seconds(runner.create_time),
        "updated_at": whole_seconds(runner.update_time),
    }


def whole_seconds(time: Timestamp) -> str:
    """UTC, cut off to whole seconds."""
    return time.ToDatetime(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that no cache keeps."""
    return Response(
        orjson.dumps(body),
        status,
        {"cache-control": "no-store", **(headers or {})},
        media_type="application/json",
    )
