"""The HTTP surface: which paths belong to which dialect. A value, built in one expression."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import health
from gateway.middleware import RequestContext, WithoutTrailingSlash, request_seconds
from gateway.problems import Dialect
from gateway.routes.comfy_v2.base import ComfyV2Routes
from gateway.routes.comfy_v2.problems import ComfyV2
from gateway.routes.comfy_v2.routes import routes as comfy_v2_routes
from gateway.routes.runner_v1.problems import RunnerV1
from gateway.routes.runner_v1.routes import routes as runner_v1_routes
from gateway.routes.runner_v1.runners import Runners
from libs.observe.metrics import Metrics

Ready = Callable[[], Awaitable[bool]]


def build(shared: ComfyV2Routes, ready: Ready, metrics: Metrics) -> Starlette:
    """The whole site over the given backends."""
    site = Starlette(
        routes=[
            Route("/livez", health.live),
            Route("/readyz", health.ready),
            *comfy_v2_routes(shared),
            *runner_v1_routes(Runners(shared.backends, shared.sessions)),
        ],
        middleware=[
            Middleware(RequestContext, seconds=request_seconds(metrics)),
            Middleware(WithoutTrailingSlash),
        ],
        exception_handlers={HTTPException: refused},
    )
    site.router.redirect_slashes = False
    site.state.ready = ready
    return site


async def refused(request: Request, error: Exception) -> Response:
    """404 and 405 in the words of the dialect that owns the path."""
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    response = dialect_of(request.url.path).plain(status).response()
    response.headers.update(headers or {})
    return response


def dialect_of(path: str) -> Dialect:
    """Who answers for a path."""
    return RunnerV1() if path == "/v1" or path.startswith("/v1/") else ComfyV2()
