"""`/view` and `/upload/*`."""

import mimetypes
from io import BytesIO
from pathlib import Path

from PIL import Image
from starlette.datastructures import QueryParams, UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from deploy.simulator.executor import Server
from deploy.simulator.folders import KINDS, OutsideFolder
from deploy.simulator.routes.answers import empty, json, trouble

_DANGEROUS = ("text/html", "image/svg+xml", "text/javascript", "application/javascript", "text/css", "text/xml")


class FileRoutes:
    """Files in and out."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def routes(self) -> list[Route]:
        """The paths, without prefix."""
        return [
            Route("/view", self.view, methods=["GET"]),
            Route("/upload/image", self.upload, methods=["POST"]),
            Route("/upload/mask", self.upload, methods=["POST"]),
        ]

    async def view(self, request: Request) -> Response:
        """A file, or a smaller picture of it."""
        query = request.query_params
        filename = query.get("filename", "")
        if not filename:
            return empty(404)
        kind = query.get("type", "output")
        if filename.startswith("/") or ".." in filename or kind not in KINDS:
            return empty(400)
        try:
            path = self._server.folders.path(kind, query.get("subfolder", ""), Path(filename).name)
        except OutsideFolder:
            return empty(403)
        if not path.is_file():
            return empty(404)
        return _shown(path, query)

    async def upload(self, request: Request) -> Response:
        """Keep a file of any kind."""
        async with request.form(max_files=10, max_fields=50) as form:
            image = form.get("image")
            if not isinstance(image, UploadFile) or not image.filename:
                return empty(400)
            kind = str(form.get("type") or "input")
            if kind not in KINDS:
                return trouble()
            overwrite = str(form.get("overwrite", "")) in ("true", "1")
            subfolder = str(form.get("subfolder") or "")
            data = await image.read()
        try:
            name = self._server.folders.store_upload(kind, subfolder, image.filename, data, overwrite=overwrite)
        except OutsideFolder:
            return empty(400)
        except OSError:
            return trouble()
        return json({"name": name, "subfolder": subfolder, "type": kind})


def _shown(path: Path, query: QueryParams) -> Response:
    disposition = {"content-disposition": f'filename="{path.name}"'}
    if "preview" in query:
        return _preview(path, query["preview"], disposition)
    if query.get("channel") in ("rgb", "a"):
        return _channel(path, query["channel"], disposition)
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if media_type in _DANGEROUS:
        media_type = "application/octet-stream"
        disposition = {"content-disposition": f'attachment; filename="{path.name}"'}
    return FileResponse(path, headers={"x-content-type-options": "nosniff", **disposition}, media_type=media_type)


def _preview(path: Path, wanted: str, headers: dict[str, str]) -> Response:
    kind, _, quality = wanted.partition(";")
    kind = kind if kind in ("webp", "jpeg") else "webp"
    buffer = BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").save(buffer, kind, quality=int(quality) if quality.isdigit() else 90)
    return Response(buffer.getvalue(), headers=headers, media_type=f"image/{kind}")


def _channel(path: Path, wanted: str, headers: dict[str, str]) -> Response:
    buffer = BytesIO()
    with Image.open(path) as picture:
        if wanted == "rgb":
            shown = picture.convert("RGB")
        else:
            alpha = picture.convert("RGBA").getchannel("A")
            shown = Image.new("RGBA", picture.size)
            shown.putalpha(alpha)
        shown.save(buffer, "PNG")
    return Response(buffer.getvalue(), headers=headers, media_type="image/png")
