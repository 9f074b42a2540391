"""The life of a process: resources in order, named background loops, a graceful end on a signal.

A loop that dies stops the process loudly: half a service is worse than a restart.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeVar

import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T")
Loop = Callable[[], Awaitable[None]]
Start = Callable[["App"], Awaitable[None]]


def disable_grpc_fork_support() -> None:
    """Call before grpc is imported: its fork handlers kill child processes between fork and exec."""
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


class LoopDied(Exception):
    """A background loop ended on its own."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the background loop {name} ended")


class App:
    """A running process as a value: `start` is the composition root, which enters resources and adds loops."""

    def __init__(self, name: str, start: Start, *, drain_seconds: float = 10) -> None:
        self.name = name
        self.stopping = asyncio.Event()
        self._start = start
        self._drain_seconds = drain_seconds
        self._stack = AsyncExitStack()
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._drains: list[Loop] = []
        self._died = asyncio.Event()
        self.failure: BaseException | None = None

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Open a resource now; it is closed at the end, in reverse order."""
        return await self._stack.enter_async_context(resource)

    def loop(self, name: str, run: Loop) -> None:
        """Run something until the app stops. It must not return before."""
        self._loops[name] = asyncio.create_task(self._guard(name, run), name=name)

    def on_drain(self, callback: Loop) -> None:
        """Called when the app is asked to stop, before the loops are cancelled; last added first."""
        self._drains.append(callback)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["App"]:
        """Start, and stop on leaving."""
        try:
            await self._start(self)
            yield self
        finally:
            await self._stop()

    async def serve(self) -> int:
        """Run until SIGTERM, SIGINT or the death of a loop. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        async with self.running():
            log.info("started", app=self.name)
            await self._until_stopped()
            log.info("stopping", app=self.name, failed=self.failure is not None)
        log.info("stopped", app=self.name)
        return 1 if self.failure else 0

    async def _until_stopped(self) -> None:
        waits = {asyncio.create_task(self.stopping.wait()), asyncio.create_task(self._died.wait())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _guard(self, name: str, run: Loop) -> None:
        try:
            await run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            log.critical("loop_died", loop=name, exc_info=True)
            self._fail(error)
        else:
            log.critical("loop_ended", loop=name)
            self._fail(LoopDied(name))

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        self._died.set()

    async def _stop(self) -> None:
        self.stopping.set()
        try:
            async with asyncio.timeout(self._drain_seconds):
                for drain in reversed(self._drains):
                    await drain()
        except TimeoutError:
            log.warning("drain_timed_out", app=self.name, seconds=self._drain_seconds)
        for task in self._loops.values():
            task.cancel()
        await asyncio.gather(*self._loops.values(), return_exceptions=True)
        await self._stack.aclose()


def run(make: Callable[[], App], *, fast: bool = False) -> int:
    """Run an app to its end and return the exit code; `fast` takes uvloop, which must not launch programs."""
    factory = None
    if fast:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_serve(make))


async def _serve(make: Callable[[], App]) -> int:
    return await make().serve()
