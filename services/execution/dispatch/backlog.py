"""What waits for a runner, and which idle runner should look."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol
from uuid import UUID

import structlog

from libs.clock import Clock
from libs.errors import Unavailable
from services.execution.dispatch.fleet import FleetState
from services.execution.dispatch.settings import DispatchSettings
from services.execution.domain import RunnerView, Selector, selector_matches
from services.execution.live import Live

_log = structlog.get_logger(__name__)


class WaitingTable(Protocol):
    """Where jobs wait."""

    async def waiting_selectors(self) -> Sequence[Selector]:
        """What the waiting jobs ask for. Raises Unavailable."""
        ...


class Backlog:
    """The selectors under which jobs wait: told by wake-ups, corrected by a look into the database.

    One wake-up is one job, so it wakes one of the idle runners that could take it, picked at random.
    """

    def __init__(
        self, table: WaitingTable, fleet: FleetState, live: Live, clock: Clock, settings: DispatchSettings
    ) -> None:
        self._table = table
        self._fleet = fleet
        self._live = live
        self._clock = clock
        self._settings = settings
        self._open: dict[Selector, bytes] = {}
        self._fresh: set[Selector] = set()
        self._matches: dict[UUID, tuple[RunnerView, dict[Selector, bool]]] = {}
        self._idle: dict[UUID, asyncio.Event] = {}
        self.version = 0

    async def run(self) -> None:
        """Look for what no wake-up told."""
        while True:
            bus = self._live.connected
            await self._clock.sleep(
                self._settings.job_poll_seconds if bus else self._settings.job_poll_seconds_without_bus
            )
            try:
                await self.refresh()
            except Unavailable:
                _log.warning("backlog_unknown")

    async def refresh(self) -> None:
        """Ask the database, and wake everybody who could take something."""
        self._fresh.clear()
        found = await self._table.waiting_selectors()
        keep = {selector: self._open[selector] for selector in self._fresh}
        self._open = keep | {selector: self._open.get(selector) or selector.digest() for selector in found}
        for runner_id in self._takers(found):
            self._wake(runner_id)

    async def job_queued(self, selector: Selector) -> None:
        """A job of this selector waits."""
        self.version += 1
        self._fresh.add(selector)
        if selector not in self._open:
            self._open[selector] = selector.digest()
        if takers := self._takers([selector]):
            self._wake(random.choice(takers))  # noqa: S311 - spreads work, protects nothing

    def digests(self, runner: RunnerView) -> list[bytes]:
        """The selectors that the runner satisfies, in the form in which a claim names them."""
        return [digest for selector, digest in self._open.items() if self._match(selector, runner)]

    async def rest(self, runner_id: UUID, seen: int, seconds: float) -> None:
        """Until there may be something for the runner, at most so long. `seen`: the version last acted upon."""
        if seen != self.version:
            return
        woken = self._idle[runner_id] = asyncio.Event()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await woken.wait()
        finally:
            self._idle.pop(runner_id, None)

    def _takers(self, selectors: Sequence[Selector]) -> list[UUID]:
        views = [view for runner_id in self._idle if (view := self._fleet.view(runner_id))]
        return [view.runner_id for view in views if any(self._match(selector, view) for selector in selectors)]

    def _wake(self, runner_id: UUID) -> None:
        if woken := self._idle.pop(runner_id, None):
            woken.set()

    def _match(self, selector: Selector, runner: RunnerView) -> bool:
        view, known = self._matches.get(runner.runner_id, (None, {}))
        if view is not runner or len(known) > 4 * len(self._open) + 16:
            known = {}
            self._matches[runner.runner_id] = (runner, known)
        if selector not in known:
            known[selector] = selector_matches(selector, runner)
        return known[selector]
