"""One supervised process: started, restarted when it dies, stopped in order."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from deploy.local.home import Home
from deploy.local.state import ProcessState, start_time

log = structlog.get_logger(__name__)
MAX_PAUSE = 30.0  # seconds between two tries of a process that keeps dying
_STEADY = 10.0  # seconds after which a process counts as healthy and its pause starts over
_READY_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `environment` is added to the supervisor's own; `command` never holds a secret."""

    name: str
    command: Sequence[str]
    address: str
    ready: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15


class Supervised:
    """A program that is kept running."""

    def __init__(self, program: Program, home: Home, changed: Callable[[], None]) -> None:
        self.program = program
        self.state = ProcessState(program.name, None, program.address, "starting")
        self._home = home
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start and keep running; returns when it is ready for the first time."""
        if self.program.prepare is not None:
            await asyncio.to_thread(self.program.prepare)
        await self._spawn()
        self._keeping = asyncio.create_task(self._keep())
        await self.until_ready()

    async def until_ready(self) -> None:
        """Wait for the program's own sign of life."""
        while not (self._process is not None and self._process.returncode is None and await self.program.ready()):  # noqa: ASYNC110
            await asyncio.sleep(_READY_EVERY)
        self._say("running")

    async def stop(self) -> None:
        """Ask it to end, then insist."""
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        if self._process is not None and self._process.returncode is None:
            self._say("stopping")
            self._signal(self.program.stop_signal)
            try:
                await asyncio.wait_for(self._process.wait(), self.program.stop_seconds)
            except TimeoutError:
                log.warning("killed", process=self.program.name)
                self._signal(signal.SIGKILL)
                await self._process.wait()
        self.state.pid = None
        self._say("stopped")

    async def _spawn(self) -> None:
        path = self._home.log(self.program.name)
        with path.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.program.command,
                env={**os.environ, **self.program.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.state.pid = self._process.pid
        self.state.started = start_time(self._process.pid)
        self._say("starting")

    async def _keep(self) -> None:
        pause = 0.2
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            code = await self._process.wait() if self._process else 0
            pause = 0.2 if loop.time() - started > _STEADY else min(pause * 2, MAX_PAUSE)
            log.warning("died", process=self.program.name, code=code, again_in=pause)
            self.state.pid = None
            self._say("restarting")
            await asyncio.sleep(pause)
            self.state.restarts += 1
            await self._spawn()
            watching = asyncio.create_task(self.until_ready())
            watching.add_done_callback(_forget)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                # The whole session: PostgreSQL's and uvicorn's children end with their parents.
                if number == signal.SIGKILL:
                    os.killpg(self._process.pid, number)
                else:
                    self._process.send_signal(number)

    def _say(self, state: str) -> None:
        self.state.state = state
        self._changed()


def _forget(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
