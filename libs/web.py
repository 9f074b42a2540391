"""An ASGI app on a socket, inside a process that has its own signal handling."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from libs.net import HostPort


class EmbeddedServer(uvicorn.Server):
    """uvicorn that says when it listens, and leaves signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.listening.set()

    async def run_on(self, sock: socket.socket) -> None:
        """Serve until `should_exit`, without touching signal handlers."""
        await self._serve([sock])


def bound_socket(wanted: HostPort) -> socket.socket:
    """A TCP socket bound to an address.

    The protocol is named because asyncio switches Nagle's algorithm off only for sockets that say TCP: without it
    every other answer would wait 40 ms for an acknowledgement.
    """
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((wanted.host, wanted.port))
    return bound


@asynccontextmanager
async def listening(app: ASGIApp, listen: str, *, drain_seconds: float = 5) -> AsyncIterator[str]:
    """Serve the app on host:port (0 takes a free port); yields the real address, drains on leaving."""
    wanted = HostPort.parse(listen)
    sock = bound_socket(wanted)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=max(1, round(drain_seconds))
    )
    server = EmbeddedServer(config)
    serving = asyncio.create_task(server.run_on(sock))
    try:
        await server.listening.wait()
        yield str(HostPort(wanted.host, sock.getsockname()[1]))
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        sock.close()
