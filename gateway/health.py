"""`/livez` and `/readyz` for load balancers and supervisors."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


async def live(request: Request) -> Response:
    """200 as long as the process answers at all."""
    return JSONResponse({"status": "ok"})


async def ready(request: Request) -> Response:
    """200 when the services behind the gateway serve, else 503."""
    is_ready = await request.app.state.ready()
    return JSONResponse({"status": "ok" if is_ready else "unavailable"}, 200 if is_ready else 503)
