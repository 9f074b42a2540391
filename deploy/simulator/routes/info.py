"""What the server says of itself: `/system_stats`, `/object_info`, `/models`, `/features`, and the page at `/`."""

import platform
from typing import Any

import psutil
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from deploy.simulator.executor import Server
from deploy.simulator.routes.answers import empty, json

MAX_UPLOAD = 104_857_600  # bytes
MODEL_FOLDERS = ("checkpoints", "loras", "vae", "controlnet", "upscale_models", "embeddings")


def flags() -> dict[str, Any]:
    """The feature flags of the server."""
    return {"supports_preview_metadata": True, "max_upload_size": MAX_UPLOAD}


class InfoRoutes:
    """Read-only."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def routes(self) -> list[Route]:
        """The paths, without prefix."""
        features = [Route("/features", self.features)] if self._server.features.feature_flags else []
        return [
            Route("/system_stats", self.system_stats),
            Route("/object_info", self.object_info),
            Route("/object_info/{name}", self.one_class),
            Route("/models", self.models),
            Route("/models/{folder}", self.model_files),
            Route("/embeddings", self.no_files),
            Route("/extensions", self.no_files),
            *features,
        ]

    async def system_stats(self, _: Request) -> Response:
        """Memory, devices and version."""
        memory = psutil.virtual_memory()
        features = self._server.features
        system: dict[str, Any] = {
            "os": features.os,
            "python_version": platform.python_version(),
            "embedded_python": False,
        }
        if features.comfyui_version is not None:
            system |= {
                "ram_total": memory.total,
                "ram_free": memory.available,
                "comfyui_version": features.comfyui_version,
                "pytorch_version": "simulated",
                "argv": ["main.py"],
            }
        device = {
            "name": "cpu",
            "type": "cpu",
            "index": None,
            "vram_total": memory.total,
            "vram_free": memory.available,
        }
        torch = {"torch_vram_total": memory.total, "torch_vram_free": memory.available}
        return json({"system": system, "devices": [{**device, **torch}]})

    async def object_info(self, _: Request) -> Response:
        """Every node class."""
        return json({name: node.info(self._server.folders) for name, node in self._server.nodes.items()})

    async def one_class(self, request: Request) -> Response:
        """One node class; an unknown one is an empty object."""
        name = request.path_params["name"]
        node = self._server.nodes.get(name)
        return json({name: node.info(self._server.folders)} if node else {})

    async def models(self, _: Request) -> Response:
        """Folder names."""
        return json(list(MODEL_FOLDERS))

    async def model_files(self, request: Request) -> Response:
        """No models here."""
        return json([]) if request.path_params["folder"] in MODEL_FOLDERS else empty(404)

    async def no_files(self, _: Request) -> Response:
        """Nothing installed."""
        return json([])

    async def features(self, _: Request) -> Response:
        """The flags."""
        return json(flags())


async def page(_: Request) -> Response:
    """What a browser shows."""
    return HTMLResponse("<!doctype html><title>ComfyUI (simulated)</title><p>A simulated ComfyUI server.</p>")
