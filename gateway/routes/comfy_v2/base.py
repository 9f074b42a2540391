"""What every endpoint of Comfy API v2 works with."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway import bodies as request_bodies
from gateway.auth import Session, Sessions
from gateway.backends import Backends
from gateway.links import LinkSigner
from gateway.routes.comfy_v2.bodies import Bodies
from libs.errors import InvalidArgument, NotFound

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds, counts."""

    json_body_bytes: int
    upload_bytes: int
    streams_per_account: int
    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class ComfyV2Routes:
    """Shared by the endpoint classes."""

    backends: Backends
    sessions: Sessions
    links: LinkSigner
    limits: Limits
    public_url: str

    def bodies(self, request: Request, session: Session) -> Bodies:
        """Response bodies whose links lead back to where the request came from."""
        base_url = self.public_url or str(request.base_url).rstrip("/")
        return Bodies(self.links, base_url, session.account_id)

    async def json_body(self, request: Request) -> dict[str, Any]:
        """The body as a JSON object, within the limit."""
        return await request_bodies.read_object(request, self.limits.json_body_bytes)


def resource_id(request: Request, reason: str) -> str:
    """The `{id}` of the path; one that cannot exist reads as not found, like any unknown one."""
    value = str(request.path_params["id"])
    if not _UUID.fullmatch(value):
        raise NotFound(reason, "not found")
    return value.lower()


def field_error(name: str, message: str) -> InvalidArgument:
    """A field that breaks a rule, named."""
    return InvalidArgument("INVALID_FIELD", f"{name} {message}", fields={name: message})


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that no cache keeps."""
    return Response(
        orjson.dumps(body),
        status,
        {"cache-control": "no-store", **(headers or {})},
        media_type="application/json",
    )
