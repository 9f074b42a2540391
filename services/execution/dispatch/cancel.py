"""The wish to end jobs, and how it finds the attempts that run here."""

from collections.abc import Callable
from uuid import UUID

import structlog

from libs.clock import Clock
from libs.errors import Unavailable
from services.execution.dispatch.settings import DispatchSettings
from services.execution.live import Live
from services.execution.store.dispatch import ClaimStore

_log = structlog.get_logger(__name__)


class CancelWish:
    """Whether the end of one job is wanted. It is stored with the job; this is how its driver sees it."""

    def __init__(self, notice: Callable[[], None]) -> None:
        self._notice = notice
        self.wanted = False

    def ask(self) -> None:
        """The job is to end."""
        if not self.wanted:
            self.wanted = True
            self._notice()


class Cancels:
    """Brings wishes to drivers: at once by wake-up, and by a look into the database when one was lost."""

    def __init__(self, claims: ClaimStore, live: Live, clock: Clock, settings: DispatchSettings) -> None:
        self._claims = claims
        self._live = live
        self._clock = clock
        self._settings = settings
        self._wishes: dict[UUID, CancelWish] = {}

    def enter(self, job_id: UUID, wish: CancelWish) -> None:
        """From now on the wish hears of the job's cancel."""
        self._wishes[job_id] = wish

    def leave(self, job_id: UUID) -> None:
        """The attempt is over."""
        self._wishes.pop(job_id, None)

    async def job_canceled(self, job_id: UUID) -> None:
        """Somebody wants the end of a job, perhaps of one that is driven here."""
        if wish := self._wishes.get(job_id):
            wish.ask()

    async def run(self) -> None:
        """Look for wishes that no wake-up told."""
        while True:
            await self._clock.sleep(
                self._settings.job_poll_seconds if self._live.connected else self._settings.job_poll_seconds_without_bus
            )
            if self._wishes:
                await self._look()

    async def _look(self) -> None:
        try:
            canceled = await self._claims.canceled_jobs()
        except Unavailable:
            _log.warning("cancels_unknown")
            return
        for job_id in canceled:
            await self.job_canceled(job_id)
