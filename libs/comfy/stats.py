"""What /system_stats tells about the machine. Section 8 of the contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from libs.comfy.reading import items, mapping, text, whole
from libs.comfy.versions import ServerVersion


@dataclass(frozen=True, slots=True)
class Device:
    """A device that computes; memory in bytes. For a CPU, "vram" is the machine's RAM."""

    name: str
    type: str
    index: int | None
    vram_total: int | None
    vram_free: int | None


@dataclass(frozen=True, slots=True)
class SystemStats:
    """One look at a server; what an old one does not say is None or empty. Memory in bytes."""

    version: ServerVersion
    os: str
    python_version: str
    pytorch_version: str
    ram_total: int | None
    ram_free: int | None
    devices: tuple[Device, ...]


def parse_stats(answer: object) -> SystemStats:
    """Read the answer. ValueError if this is not a ComfyUI server."""
    system = mapping(mapping(answer).get("system"))
    if not system:
        raise ValueError("no system statistics")
    return SystemStats(
        version=ServerVersion.parse(system.get("comfyui_version")),
        os=text(system.get("os")) or "",
        python_version=text(system.get("python_version")) or "",
        pytorch_version=text(system.get("pytorch_version")) or "",
        ram_total=whole(system.get("ram_total")),
        ram_free=whole(system.get("ram_free")),
        devices=tuple(_device(mapping(said)) for said in items(mapping(answer).get("devices"))),
    )


def _device(said: Mapping[str, Any]) -> Device:
    return Device(
        name=text(said.get("name")) or "",
        type=text(said.get("type")) or "",
        index=whole(said.get("index")),
        vram_total=whole(said.get("vram_total")),
        vram_free=whole(said.get("vram_free")),
    )
