"""Nodes that make, change and keep pictures."""

import asyncio
import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from deploy.simulator.nodes.node import INPUT_FILES, Images, Node, NodeFailed, Result, Run

_LARGE = 512 * 512  # pixels; more than this is computed in a thread
_MAX = 16384
_RESAMPLING = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


async def empty_image(_: Run, inputs: Mapping[str, Any]) -> Result:
    """One plain colour."""
    color = inputs["color"]
    rgb = (color >> 16 & 255, color >> 8 & 255, color & 255)
    size = (inputs["width"], inputs["height"])
    return Result(([Image.new("RGB", size, rgb) for _ in range(inputs["batch_size"])],))


async def load_image(run: Run, inputs: Mapping[str, Any]) -> Result:
    """A file of the input directory."""
    path = run.folders.path("input", "", inputs["image"])
    try:
        picture = Image.open(path)
        picture.load()
    except OSError as error:
        raise NodeFailed("PIL.UnidentifiedImageError", f"cannot identify image file {path.name!r}") from error
    return Result(([picture.convert("RGB")], picture.getchannel("A") if "A" in picture.getbands() else None))


async def scale(_: Run, inputs: Mapping[str, Any]) -> Result:
    """Another size; 0 keeps the ratio."""
    images: Images = inputs["image"]
    method = _RESAMPLING[inputs["upscale_method"]]

    def work() -> Images:
        return [image.resize(_size(image, inputs["width"], inputs["height"]), method) for image in images]

    return Result((await _computed(images, work, inputs["width"] * inputs["height"]),))


def _size(image: Image.Image, width: int, height: int) -> tuple[int, int]:
    width = width or max(1, round(image.width * height / image.height))
    return width, height or max(1, round(image.height * width / image.width))


async def invert(_: Run, inputs: Mapping[str, Any]) -> Result:
    """The negative."""
    images: Images = inputs["image"]
    return Result((await _computed(images, lambda: [ImageOps.invert(image) for image in images]),))


async def save_image(run: Run, inputs: Mapping[str, Any]) -> Result:
    """PNG files in the output directory, with the graph inside."""
    return await _saved(run, inputs["images"], "output", inputs["filename_prefix"])


async def preview_image(run: Run, inputs: Mapping[str, Any]) -> Result:
    """PNG files in the temp directory."""
    return await _saved(run, inputs["images"], "temp", "ComfyUI_temp_simul")


async def save_websocket(run: Run, inputs: Mapping[str, Any]) -> Result:
    """Whole PNGs as frames of the websocket; nothing is kept."""
    images: Images = inputs["images"]
    for number, image in enumerate(images):
        await run.progress(number, len(images), ("PNG", encoded(image, "PNG")))
    return Result()


async def _saved(run: Run, images: Images, kind: str, prefix: str) -> Result:
    metadata = PngInfo()
    metadata.add_text("prompt", json.dumps(run.graph))
    for name, value in (run.extra_data.get("extra_pnginfo") or {}).items():
        metadata.add_text(name, json.dumps(value))

    def work() -> list[dict[str, str]]:
        return [_write(run, image, kind, prefix, metadata) for image in images]

    return Result(ui={"images": await _computed(images, work)})


def _write(run: Run, image: Image.Image, kind: str, prefix: str, metadata: PngInfo) -> dict[str, str]:
    path = run.folders.next_image(kind, prefix)
    image.save(path, "PNG", pnginfo=metadata, compress_level=1)
    subfolder = path.parent.relative_to((run.folders.base / kind).resolve()).as_posix()
    return {"filename": path.name, "subfolder": "" if subfolder == "." else subfolder, "type": kind}


async def _computed(images: Images, work: Any, pixels: int = 0) -> Any:
    """Small pictures at once, large ones in a thread, so that the server goes on answering."""
    size = max([pixels, *(image.width * image.height for image in images)])
    return await asyncio.to_thread(work) if size > _LARGE else work()


def encoded(image: Image.Image, kind: str) -> bytes:
    """The picture as a file."""
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _int(default: int, least: int = 1, most: int = _MAX) -> list[Any]:
    return ["INT", {"default": default, "min": least, "max": most, "step": 1}]


_PICTURE: list[Any] = ["IMAGE", {}]
_HIDDEN = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}

NODES = (
    Node(
        "EmptyImage",
        empty_image,
        {
            "width": _int(512),
            "height": _int(512),
            "batch_size": _int(1, 1, 4096),
            "color": ["INT", {"default": 0, "min": 0, "max": 0xFFFFFF, "step": 1, "display": "color"}],
        },
        outputs=("IMAGE",),
    ),
    Node("LoadImage", load_image, {"image": [INPUT_FILES, {"image_upload": True}]}, outputs=("IMAGE", "MASK")),
    Node(
        "ImageScale",
        scale,
        {
            "image": _PICTURE,
            "upscale_method": [list(_RESAMPLING), {}],
            "width": _int(512, 0),
            "height": _int(512, 0),
            "crop": [["disabled", "center"], {}],
        },
        outputs=("IMAGE",),
        category="image/upscaling",
    ),
    Node("ImageInvert", invert, {"image": _PICTURE}, outputs=("IMAGE",)),
    Node(
        "SaveImage",
        save_image,
        {
            "images": ["IMAGE", {"tooltip": "The images to save."}],
            "filename_prefix": ["STRING", {"default": "ComfyUI"}],
        },
        hidden=_HIDDEN,
        is_output=True,
    ),
    Node("PreviewImage", preview_image, {"images": _PICTURE}, hidden=_HIDDEN, is_output=True),
    Node(
        "SaveImageWebsocket",
        save_websocket,
        {"images": _PICTURE},
        category="api/image",
        is_output=True,
        always_runs=True,
    ),
)
