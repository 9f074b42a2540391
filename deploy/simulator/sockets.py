"""Who is connected, and the one loop that sends to all of them, as on a real server."""

import asyncio
import struct
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from deploy.simulator.faults import Faults

PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
_FORMATS = {"JPEG": 1, "PNG": 2}


class Sockets:
    """Connections by client id. A second connection of an id takes the id over; when the first then closes, the
    server forgets the second: that is how real servers behave, and why ids must not be shared.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._connected: dict[str, WebSocket] = {}
        self._flags: dict[str, Mapping[str, Any]] = {}
        self._outgoing: asyncio.Queue[tuple[str | None, bytes | str]] = asyncio.Queue()

    def add(self, client_id: str, socket: WebSocket) -> None:
        """Register a connection under its id."""
        self._connected[client_id] = socket

    def remove(self, client_id: str) -> None:
        """Forget the id, whoever has it now."""
        self._connected.pop(client_id, None)
        self._flags.pop(client_id, None)

    def set_flags(self, client_id: str, flags: Mapping[str, Any]) -> None:
        """What the client said it can do."""
        self._flags[client_id] = flags

    def wants_metadata(self, client_id: str | None) -> bool:
        """Whether previews carry their node."""
        return bool(self._flags.get(client_id or "", {}).get("supports_preview_metadata"))

    def send(self, kind: str, data: Mapping[str, Any], client_id: str | None = None) -> None:
        """A message to one client, or to everybody."""
        self._outgoing.put_nowait((client_id, orjson.dumps({"type": kind, "data": data}).decode()))

    def send_preview(self, node: Mapping[str, Any], image: tuple[str, bytes], client_id: str | None) -> None:
        """A picture, in the form that the client understands."""
        kind, data = image
        # Full pictures of SaveImageWebsocket always come in the old form.
        if self.wants_metadata(client_id) and kind == "JPEG":
            head = orjson.dumps({**node, "image_type": "image/jpeg"})
            frame = struct.pack(">II", PREVIEW_WITH_METADATA, len(head)) + head + data
        else:
            frame = struct.pack(">II", PREVIEW, _FORMATS[kind]) + data
        self._outgoing.put_nowait((client_id, frame))

    def send_text(self, node_id: str, text: str, client_id: str | None) -> None:
        """Text of a node."""
        raw = node_id.encode()
        frame = struct.pack(">II", TEXT, len(raw)) + raw + text.encode()
        self._outgoing.put_nowait((client_id, frame))

    async def run(self) -> None:
        """Send for ever; a background loop."""
        while True:
            client_id, message = await self._outgoing.get()
            await self._faults.until_released("stalled_broadcast")
            if not self._faults.deaf_socket:
                await self._deliver(client_id, message)

    async def _deliver(self, client_id: str | None, message: bytes | str) -> None:
        if client_id is None:
            targets = list(self._connected.values())
        else:
            target = self._connected.get(client_id)
            targets = [target] if target else []
        for socket in targets:
            await send_raw(socket, message)


async def send_raw(socket: WebSocket, message: bytes | str) -> None:
    """One frame; a connection that is gone is no trouble."""
    try:
        if isinstance(message, bytes):
            await socket.send_bytes(message)
        else:
            await socket.send_text(message)
    except (RuntimeError, WebSocketDisconnect, OSError):
        return
