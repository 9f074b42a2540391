"""What happens around every request: an id, one log line, a limit on announced body sizes."""

import re
import time
import uuid

import structlog
from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.observe.metrics import Metrics

_SURFACES = ("/api/v2/jobs", "/api/v2/assets", "/api/v2", "/v1", "/livez", "/readyz")
log = structlog.get_logger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class WithoutTrailingSlash:
    """A trailing slash is the same path, as the runner API says; no redirect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            scope = {**scope, "path": scope["path"].rstrip("/")}
        await self._app(scope, receive, send)


class RequestContext:
    """Gives every request an id, says it in `X-Request-Id`, and logs one line when the answer is through.

    Query strings are never logged: links carry their key there.
    """

    def __init__(self, app: ASGIApp, seconds: Histogram) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = 500
        started = time.perf_counter()

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, named)
            finally:
                took = time.perf_counter() - started
                self._seconds.labels(scope["method"], _surface(scope["path"]), status).observe(took)
                ms = round(took * 1000, 1)
                log.info("request", method=scope["method"], path=scope["path"], status=status, ms=ms)


def request_seconds(metrics: Metrics) -> Histogram:
    """Duration of requests; paths hold ids, so only the surface is a label."""
    return metrics.histogram("http_request_seconds", "duration of HTTP requests", "method", "surface", "status")


def _surface(path: str) -> str:
    return next((prefix for prefix in _SURFACES if path.startswith(prefix)), "other")


def _request_id(scope: Scope) -> str:
    """The caller's own id when it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return str(uuid.uuid4())
