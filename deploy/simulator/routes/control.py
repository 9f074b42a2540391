"""`/simulator/*`: what no real server has. Faults, a crash, and how often each prompt was executed."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.simulator.executor import Server
from deploy.simulator.routes.answers import body_of, json

Crash = Callable[[float], Awaitable[None]]


class ControlRoutes:
    """For tests, demos and drills."""

    def __init__(self, server: Server, crash: Crash) -> None:
        self._server = server
        self._crash = crash

    def routes(self) -> list[Route]:
        """The paths, without prefix."""
        return [
            Route("/simulator/faults", self.read, methods=["GET"]),
            Route("/simulator/faults", self.change, methods=["POST"]),
            Route("/simulator/executions", self.executions, methods=["GET"]),
            Route("/simulator/crash", self.crash, methods=["POST"]),
        ]

    async def read(self, _: Request) -> Response:
        """What goes wrong right now."""
        return json(self._server.faults.told())

    async def change(self, request: Request) -> Response:
        """Switch faults by name."""
        try:
            self._server.faults.change(await body_of(request))
        except (ValueError, AttributeError) as error:
            return json({"error": str(error)}, 400)
        return json(self._server.faults.told())

    async def executions(self, _: Request) -> Response:
        """How often each prompt id was started, crashes included."""
        return json(self._server.prompts.executions)

    async def crash(self, request: Request) -> Response:
        """Lose everything and be away for `seconds` (default 1)."""
        body = await request.body()
        seconds = (await body_of(request)).get("seconds", 1) if body else 1
        await self._crash(float(seconds))
        return json({})
