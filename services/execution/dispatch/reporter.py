"""Telling watchers how far a job is: often enough to look live, seldom enough to cost nothing."""

import asyncio

import structlog

from libs.clock import Clock
from libs.errors import Unavailable
from services.execution.dispatch.journal import Journal
from services.execution.dispatch.progress import ProgressTracker

_log = structlog.get_logger(__name__)

_PROGRESS_PAUSE = 0.25
_STORE_PAUSE = 1.0
_PREVIEW_PAUSE = 0.5


class Reporter:
    """Publishes the newest progress four times and the newest preview twice a second at most."""

    def __init__(self, journal: Journal, tracker: ProgressTracker, clock: Clock, preview_max_bytes: int) -> None:
        self._journal = journal
        self._tracker = tracker
        self._clock = clock
        self._preview_max_bytes = preview_max_bytes
        self._moved = asyncio.Event()
        self._shown = asyncio.Event()
        self._preview = ("", "", b"")

    def moved(self) -> None:
        """The tracker knows something new."""
        self._moved.set()

    def show(self, node_id: str, content_type: str, data: bytes) -> None:
        """There is a newer preview; one that is too large is not passed on."""
        if len(data) <= self._preview_max_bytes:
            self._preview = (node_id, content_type, data)
            self._shown.set()

    async def report_progress(self) -> None:
        """Publish until cancelled; store once a second."""
        stored = self._clock.monotonic()
        while True:
            await self._moved.wait()
            self._moved.clear()
            snapshot = self._tracker.snapshot()
            await self._journal.progress(snapshot)
            if self._clock.monotonic() - stored >= _STORE_PAUSE:
                stored = self._clock.monotonic()
                await self._store()
            await self._clock.sleep(_PROGRESS_PAUSE)

    async def report_previews(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._shown.wait()
            self._shown.clear()
            await self._journal.preview(*self._preview)
            await self._clock.sleep(_PREVIEW_PAUSE)

    async def _store(self) -> None:
        try:
            await self._journal.store_progress(self._tracker.snapshot())
        except Unavailable:
            _log.info("progress_not_stored")
