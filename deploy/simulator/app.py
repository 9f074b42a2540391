"""A simulated runner as a value: build it, serve it, crash it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.simulator.executor import Server, Worker
from deploy.simulator.faults import Faults
from deploy.simulator.folders import Folders
from deploy.simulator.nodes import NODES
from deploy.simulator.prompts import Prompts
from deploy.simulator.routes.control import ControlRoutes
from deploy.simulator.routes.files import FileRoutes
from deploy.simulator.routes.info import InfoRoutes, page
from deploy.simulator.routes.jobs import JobRoutes
from deploy.simulator.routes.prompt import PromptRoutes, ReplyLost
from deploy.simulator.routes.socket import SocketRoutes
from deploy.simulator.sockets import Sockets
from deploy.simulator.versions import DEFAULT, VERSIONS
from libs.net import HostPort
from libs.web import EmbeddedServer, bound_socket


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """What one simulated runner is. `speed` divides the time that nodes take; an empty folder is a temporary one."""

    listen: str = "127.0.0.1:0"
    version: str = DEFAULT
    speed: float = 1.0
    folder: str = ""
    faults: dict[str, object] = field(default_factory=dict)


class Simulator:
    """One runner: its state, and the listener in front of it."""

    def __init__(self, settings: SimulatorSettings, base: Path) -> None:
        self._settings = settings
        self._wanted = HostPort.parse(settings.listen)
        self._port = self._wanted.port
        self.faults = Faults()
        self.faults.change(dict(settings.faults))
        folders = Folders(base)
        folders.make()
        self._sockets = Sockets(self.faults)
        self.server = Server(
            nodes=NODES,
            folders=folders,
            features=VERSIONS[settings.version],
            prompts=Prompts(self._changed),
            sockets=self._sockets,
            faults=self.faults,
            speed=settings.speed,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._listener: Listener | None = None
        self._reviving: asyncio.Task[None] | None = None

    @property
    def endpoint(self) -> str:
        """Base URL."""
        return f"http://{HostPort(self._wanted.host, self._port)}"

    @property
    def executions(self) -> dict[str, int]:
        """How often each prompt id was started."""
        return self.server.prompts.executions

    async def start(self) -> None:
        """Listen and work."""
        self._tasks = [asyncio.create_task(Worker(self.server).run()), asyncio.create_task(self._sockets.run())]
        self._listener = Listener(self._app(), self._wanted.host, self._port)
        self._port = await self._listener.start()

    async def stop(self) -> None:
        """End at once: sockets are cut, nothing is said."""
        if self._listener is not None:
            await self._listener.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._reviving is not None and self._reviving is not asyncio.current_task():
            self._reviving.cancel()

    async def crash(self, seconds: float = 1) -> None:
        """Lose queue, history and cache; be away for so long, then come back on the same port."""
        self._reviving = asyncio.create_task(self._crash(seconds))

    async def _crash(self, seconds: float) -> None:
        await self.stop()
        executions = self.server.prompts.executions
        self._sockets = Sockets(self.faults)
        self.server.sockets = self._sockets
        self.server.prompts = Prompts(self._changed)
        # The count is the test's, not the server's: a crash must not hide a second execution.
        self.server.prompts.executions = executions
        self.server.cache.clear()
        await asyncio.sleep(seconds)
        await self.start()

    def _changed(self) -> None:
        remaining = {"status": {"exec_info": {"queue_remaining": self.server.prompts.remaining}}}
        self._sockets.send("status", remaining)

    def _app(self) -> ASGIApp:
        plain: Sequence[BaseRoute] = [
            *PromptRoutes(self.server).routes(),
            *FileRoutes(self.server).routes(),
            *InfoRoutes(self.server).routes(),
            *SocketRoutes(self.server).routes(),
        ]
        prefixed = [Mount("/api", routes=plain)] if self.server.features.api_prefix else []
        routes = [
            Route("/", page),
            *ControlRoutes(self.server, self.crash).routes(),
            *JobRoutes(self.server).routes(),
            *plain,
            *prefixed,
        ]
        return Misbehaving(Starlette(routes=routes), self.faults)


class Misbehaving:
    """Faults that concern every answer."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope.get("path", "").startswith("/simulator/")
        if scope["type"] != "http" or ours:
            await self._app(scope, receive, send)
            return
        if self._faults.slow_http:
            await asyncio.sleep(self._faults.slow_http)
        if self._faults.html_answers:
            await (await page(Request(scope)))(scope, receive, send)
            return
        with suppress(ReplyLost):
            await self._app(scope, receive, send)
            return
        # Half an answer: the client sees the connection end in the middle of it.
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": False})


class Listener:
    """uvicorn on a socket, which can be cut like a killed process."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._socket = bound_socket(HostPort(host, port))
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws_max_size=4 << 20)
        self._server = EmbeddedServer(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen; returns the port."""
        self._serving = asyncio.create_task(self._server.run_on(self._socket))
        await self._server.listening.wait()
        port: int = self._socket.getsockname()[1]
        return port

    async def cut(self) -> None:
        """Abort every connection and stop listening."""
        self._server.should_exit = True
        self._server.force_exit = True
        for connection in list(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        if self._serving is not None:
            await asyncio.gather(self._serving, return_exceptions=True)
        self._socket.close()


@asynccontextmanager
async def simulating(settings: SimulatorSettings | None = None) -> AsyncIterator[Simulator]:
    """A running simulated runner for as long as the block lasts."""
    settings = settings or SimulatorSettings()
    with tempfile.TemporaryDirectory(prefix="cf-sim-") as temporary:
        simulator = Simulator(settings, Path(settings.folder or temporary))
        await simulator.start()
        try:
            yield simulator
        finally:
            await simulator.stop()
