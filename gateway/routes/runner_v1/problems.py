"""The error body of the runner API: `{"status", "message"}`, with its fixed messages."""

from collections.abc import Mapping

from gateway.problems import STATUS_OF_KIND, Problem, retry_headers
from libs.errors import ServiceError

MESSAGE_OF_REASON: Mapping[str, tuple[int, str]] = {
    "CREDENTIAL_INVALID": (401, "Invalid token"),
    "CREDENTIAL_EXPIRED": (401, "Token has expired"),
    "ACCOUNT_DELETED": (403, "account is marked for deletion"),
    "TIER_LIMIT": (403, "Runner limit exceeded for your tier"),
}
MESSAGE_OF_STATUS: Mapping[int, str] = {
    404: "requested entity not found",
    405: "method not allowed",
    413: "request body exceeds the limit of 1 MB",
    500: "internal error",
    503: "service temporarily unavailable",
}
RETRY_SECONDS = 5


class RunnerV1:
    """The dialect of `/v1`."""

    def problem(self, error: ServiceError) -> Problem:
        """Status and message by the reason, else by the kind."""
        status = STATUS_OF_KIND.get(type(error), 500)
        status = 400 if status == 422 else status
        status, message = MESSAGE_OF_REASON.get(error.reason, (status, MESSAGE_OF_STATUS.get(status, error.message)))
        headers = retry_headers(error, RETRY_SECONDS if status == 503 else None)
        headers |= {"www-authenticate": "Bearer"} if status == 401 else {}
        return Problem(status, {"status": status, "message": message}, headers)

    def plain(self, status: int) -> Problem:
        """An error that no service raised."""
        message = MESSAGE_OF_STATUS.get(status, "bad request")
        return Problem(status, {"status": status, "message": message}, {})
