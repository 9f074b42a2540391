"""A scripted HTTP peer on a loopback port."""

from asyncio import create_task
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from libs.testing import eventually


@asynccontextmanager
async def serving(*routes: BaseRoute, certificate: Path | None = None) -> AsyncIterator[str]:
    """Serve the routes; yields the base URL. `certificate` is a PEM file that holds the key too."""
    config = uvicorn.Config(
        Starlette(routes=list(routes)),
        port=0,
        log_level="critical",
        lifespan="off",
        ws="websockets-sansio",
        ssl_certfile=certificate,
        ssl_keyfile=certificate,
    )
    server = uvicorn.Server(config)
    serving = create_task(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        await serving
