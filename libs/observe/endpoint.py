"""The small HTTP server beside a service: `/metrics`, `/livez`, `/readyz`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from libs.observe.metrics import Metrics
from libs.web import listening

Ready = Callable[[], Awaitable[bool]]


@asynccontextmanager
async def endpoint(listen: str, metrics: Metrics, ready: Ready) -> AsyncIterator[str]:
    """Serve until leaving; yields the address. An empty `listen` serves nothing."""
    if not listen:
        yield ""
        return
    async with listening(site(metrics, ready), listen) as address:
        yield address


def site(metrics: Metrics, ready: Ready) -> Starlette:
    """The three paths."""

    async def exposition(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readiness(_: Request) -> Response:
        is_ready = await ready()
        return JSONResponse({"status": "ok" if is_ready else "unavailable"}, 200 if is_ready else 503)

    return Starlette(routes=[Route("/metrics", exposition), Route("/livez", live), Route("/readyz", readiness)])
