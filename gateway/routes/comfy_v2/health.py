"""`/api/v2/health`, an addition to the standard: is this surface able to take work?"""

from starlette.requests import Request
from starlette.responses import Response

from gateway.routes.comfy_v2.base import ComfyV2Routes, json_response


class Health(ComfyV2Routes):
    """Answers without a token, and says no more than up or not."""

    async def get(self, request: Request) -> Response:
        """GET /health: 200 `{"status": "ok"}` or 503 `{"status": "unavailable"}`."""
        ready = await request.app.state.ready()
        return json_response({"status": "ok" if ready else "unavailable"}, 200 if ready else 503)
