"""WatchRunners: a snapshot, then every change. The table is the truth, a bus message only says: look."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import asyncpg

from libs.bus import Bus
from libs.identity import Principal
from libs.rpc.server import Draining
from services.runner_registry.runners import Runners

SUBJECT = "comfyfleet.registry.runners"
POLL_SECONDS = 2.0  # how late a change is seen when the bus is down


@dataclass(frozen=True, slots=True)
class Changes:
    """Some runners in the order of their revisions; `synced` once everything up to `revision` was sent."""

    rows: Sequence[asyncpg.Record]
    revision: int
    synced: bool


class Bell:
    """Wakes every watch of this process when any process changed a runner."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._rung = asyncio.Event()

    async def start(self) -> None:
        """Listen to the other replicas."""
        await self._bus.subscribe(SUBJECT, self._came)

    async def ring(self) -> None:
        """Something changed: call after the commit."""
        await self._came(b"")
        await self._bus.publish(SUBJECT, b"")

    async def wait(self, seconds: float) -> None:
        """Until it rings, at most so long."""
        rung = self._rung
        try:
            await asyncio.wait_for(rung.wait(), seconds)
        except TimeoutError:
            return

    async def _came(self, _: bytes) -> None:
        self._rung.set()
        self._rung = asyncio.Event()


class Watching:
    """Streams of changes, each as fast as its reader."""

    def __init__(self, runners: Runners, bell: Bell, draining: Draining) -> None:
        self._runners = runners
        self._bell = bell
        self._draining = draining

    async def follow(self, after_revision: int, principal: Principal) -> AsyncIterator[Changes]:
        """Changes after a revision; the first batch ends with `synced`. Ends when the server drains.

        A slow reader gets the latest state of a runner and skips what came between: only rows are ever read.
        """
        revision, first = after_revision, True
        while not self._draining.begun:
            rows = await self._runners.changed_after(revision, principal)
            revision = rows[-1]["revision"] if rows else revision
            if rows or first:
                yield Changes(rows, revision, synced=first)
            first = False
            await self._wait()

    async def _wait(self) -> None:
        waits = [asyncio.create_task(self._bell.wait(POLL_SECONDS)), asyncio.create_task(self._draining.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
