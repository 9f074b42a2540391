"""The error envelope of Comfy API v2: `{"error": {"code", "message", "details"}}`."""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.problems import STATUS_OF_KIND, Problem, retry_headers
from libs.errors import ServiceError

# Reasons that the standard has a word for, with its status. Anything else falls back to its kind.
CODES: Mapping[str, tuple[int, str]] = {
    "CREDENTIAL_INVALID": (401, "unauthorized"),
    "CREDENTIAL_EXPIRED": (401, "unauthorized"),
    "ACCOUNT_DELETED": (403, "forbidden"),
    "NOT_ALLOWED": (403, "forbidden"),
    "JOB_NOT_FOUND": (404, "not_found"),
    "ASSET_NOT_FOUND": (404, "not_found"),
    "BLOB_NOT_FOUND": (404, "blob_not_found"),
    "HASH_MISMATCH": (409, "hash_mismatch"),
    "ASSET_IN_USE": (409, "asset_in_use"),
    "ASSET_TOO_LARGE": (413, "payload_too_large"),
    "WORKFLOW_INVALID": (422, "invalid_workflow"),
    "WORKFLOW_TOO_LARGE": (413, "payload_too_large"),
    "WORKFLOW_FORMAT_UI": (422, "workflow_format_ui"),
    "ASSET_MISSING": (422, "missing_asset"),
    "IDEMPOTENCY_KEY_REUSE": (422, "idempotency_key_reuse"),
    "QUEUE_FULL": (429, "queue_full"),
    "TOO_MANY_STREAMS": (429, "too_many_streams"),
    "RATE_LIMITED": (429, "rate_limited"),
    "METADATA_INVALID": (422, "metadata_invalid"),
}
CODE_OF_STATUS: Mapping[int, str] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    422: "invalid_request",
    429: "rate_limited",
    500: "upstream_error",
    503: "service_unavailable",
}
MESSAGES: Mapping[int, str] = {
    404: "not found",
    405: "method not allowed",
    413: "the request body is too large",
    500: "an unexpected error happened; the answer's X-Request-Id names it",
    503: "a backing service does not answer; try again",
}
RETRY_SECONDS = 2  # what the standard's 429 and our 503 ask for when the service says nothing


class ComfyV2:
    """The dialect of `/api/v2`."""

    def problem(self, error: ServiceError) -> Problem:
        """Status and code by the reason, else by the kind."""
        status = STATUS_OF_KIND.get(type(error), 500)
        if status == 503:
            return self.plain(503)
        status, code = CODES.get(error.reason, (status, CODE_OF_STATUS.get(status, "upstream_error")))
        retry = retry_headers(error, RETRY_SECONDS if status == 429 else None)
        headers = retry | ({"www-authenticate": "Bearer"} if status == 401 else {})
        return Problem(status, envelope(code, error.message, details(error)), headers)

    def plain(self, status: int) -> Problem:
        """An error that no service raised."""
        headers = {"retry-after": str(RETRY_SECONDS)} if status == 503 else {}
        message = MESSAGES.get(status, "the request was refused")
        return Problem(status, envelope(CODE_OF_STATUS.get(status, "upstream_error"), message, None), headers)


def envelope(code: str, message: str, details: dict[str, Any] | None) -> dict[str, Any]:
    """The shared body; `details` is left out when there are none."""
    error: dict[str, Any] = {"code": code, "message": message}
    return {"error": error | ({"details": details} if details else {})}


def details(error: ServiceError) -> dict[str, Any]:
    """Fields that break a rule, per-node errors of a graph, and ids that help to go on."""
    found: dict[str, Any] = {name: value for name, value in error.metadata.items() if name != "node_errors"}
    if node_errors := error.metadata.get("node_errors"):
        found["node_errors"] = orjson.loads(node_errors)
    if error.fields:
        found["fields"] = dict(error.fields)
    return found
