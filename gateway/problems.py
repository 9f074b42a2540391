"""Errors as each dialect documents them: one table per dialect, from kind and reason to status and body."""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.bodies import BodyTooLarge
from libs.errors import (
    AlreadyExists,
    Conflict,
    Exhausted,
    FailedPrecondition,
    Forbidden,
    InvalidArgument,
    NotFound,
    ServiceError,
    Unauthenticated,
    Unavailable,
)

CLIENT_GONE = 499  # what the log shows; nobody reads the answer
log = structlog.get_logger(__name__)

STATUS_OF_KIND: Mapping[type[ServiceError], int] = {
    InvalidArgument: 422,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    AlreadyExists: 409,
    Conflict: 409,
    FailedPrecondition: 409,
    Exhausted: 429,
    Unavailable: 503,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What a dialect says of one error."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]

    def response(self) -> Response:
        """The HTTP answer."""
        content = orjson.dumps(self.body)
        return Response(content, self.status, dict(self.headers), media_type="application/json")


class Dialect(Protocol):
    """How one HTTP API words its errors."""

    def problem(self, error: ServiceError) -> Problem:
        """The documented answer for an error of the services."""
        ...

    def plain(self, status: int) -> Problem:
        """The documented answer for an error of HTTP itself: 404, 405, 413, 500."""
        ...


def retry_headers(error: ServiceError, default: int | None = None) -> dict[str, str]:
    """Retry-After in whole seconds, when the error or the dialect knows one."""
    seconds = default if error.retry_after is None else max(1, math.ceil(error.retry_after))
    return {} if seconds is None else {"retry-after": str(seconds)}


Endpoint = Callable[[Request], Awaitable[Response]]


def speaking(dialect: Dialect) -> Callable[[Endpoint], Endpoint]:
    """Wrap an endpoint so that whatever it raises is answered in the dialect's own words."""

    def wrap(endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except ServiceError as error:
                return dialect.problem(error).response()
            except ClientDisconnect:
                return Response(status_code=CLIENT_GONE)
            except BodyTooLarge:
                return dialect.plain(413).response()
            except Exception:
                log.exception("request_failed", path=request.url.path)
                return dialect.plain(500).response()

        return answer

    return wrap
