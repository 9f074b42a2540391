"""The paths of Comfy API v2."""

from starlette.routing import Route

from gateway.problems import speaking
from gateway.routes.comfy_v2.assets import Assets
from gateway.routes.comfy_v2.base import ComfyV2Routes
from gateway.routes.comfy_v2.events import Events
from gateway.routes.comfy_v2.health import Health
from gateway.routes.comfy_v2.jobs import Jobs
from gateway.routes.comfy_v2.problems import ComfyV2

PREFIX = "/api/v2"


def routes(shared: ComfyV2Routes) -> list[Route]:
    """Every operation of the standard, and our additions: GET /jobs, GET /health."""
    parts = (shared.backends, shared.sessions, shared.links, shared.limits, shared.public_url)
    jobs, events, assets, health = Jobs(*parts), Events(*parts), Assets(*parts), Health(*parts)
    table = [
        ("POST", "/jobs", jobs.submit),
        ("GET", "/jobs", jobs.list),
        ("GET", "/jobs/{id}", jobs.get),
        ("GET", "/jobs/{id}/workflow", jobs.workflow),
        ("GET", "/jobs/{id}/events", events.stream),
        ("POST", "/jobs/{id}/cancel", jobs.cancel),
        ("POST", "/assets", assets.upload),
        ("POST", "/assets/from-hash", assets.from_hash),
        ("HEAD", "/assets/by-hash/{hash}", assets.by_hash),
        ("GET", "/assets/{id}", assets.get),
        ("DELETE", "/assets/{id}", assets.delete),
        ("GET", "/assets/{id}/content", assets.content),
        ("GET", "/health", health.get),
    ]
    speak = speaking(ComfyV2())
    return [Route(PREFIX + path, speak(endpoint), methods=[method]) for method, path, endpoint in table]
