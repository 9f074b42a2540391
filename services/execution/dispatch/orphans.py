"""Attempts whose runner was removed from the registry while nobody drove it."""

import structlog

from libs.errors import Unavailable
from services.execution.dispatch.attempt import Surroundings, end_orphan
from services.execution.dispatch.claim import Fenced

_LOOK_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class Orphans:
    """Ends them, so that their jobs go elsewhere."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def run(self) -> None:
        """Look from time to time, for ever."""
        while True:
            await self._around.clock.sleep(_LOOK_SECONDS)
            try:
                if self._around.fleet.synced:
                    await self._look()
            except (Unavailable, Fenced):
                _log.warning("orphans_unknown")

    async def _look(self) -> None:
        for claim in await self._around.claims.adopt_orphans(self._around.fleet.known()):
            _log.warning("attempt_orphaned", job_id=str(claim.job_id), runner_id=str(claim.runner_id))
            await end_orphan(claim, self._around)
