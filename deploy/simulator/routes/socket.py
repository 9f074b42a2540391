"""`/ws`."""

import uuid
from typing import Any

import orjson
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from deploy.simulator.executor import Server
from deploy.simulator.routes.info import flags
from deploy.simulator.sockets import send_raw


class SocketRoutes:
    """One connection at a time is one call of `connected`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def routes(self) -> list[WebSocketRoute]:
        """The paths, without prefix."""
        return [WebSocketRoute("/ws", self.connected)]

    async def connected(self, socket: WebSocket) -> None:
        """Greet, then listen until the client leaves."""
        client_id = socket.query_params.get("clientId") or uuid.uuid4().hex
        await socket.accept()
        self._server.sockets.add(client_id, socket)
        try:
            await self._greet(socket, client_id)
            await self._listen(socket, client_id)
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            self._server.sockets.remove(client_id)

    async def _greet(self, socket: WebSocket, client_id: str) -> None:
        remaining = self._server.prompts.remaining
        await self._say(socket, "status", {"status": {"exec_info": {"queue_remaining": remaining}}, "sid": client_id})
        running = self._server.prompts.running
        if running is not None and running.client_id == client_id:
            await self._say(socket, "executing", {"node": next(iter(running.graph))})

    async def _listen(self, socket: WebSocket, client_id: str) -> None:
        first = True
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            parsed = _parsed(message.get("text"))
            if parsed is None:
                continue
            if first and parsed.get("type") == "feature_flags" and self._server.features.feature_flags:
                self._server.sockets.set_flags(client_id, parsed.get("data") or {})
                await self._say(socket, "feature_flags", flags())
            first = False

    async def _say(self, socket: WebSocket, kind: str, data: dict[str, Any]) -> None:
        await send_raw(socket, orjson.dumps({"type": kind, "data": data}).decode())


def _parsed(text: str | None) -> dict[str, Any] | None:
    try:
        parsed = orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None
