"""Claiming: one statement picks the job, marks it and opens the attempt."""

from datetime import timedelta

import asyncpg

from services.execution.dispatch.backlog import Backlog
from services.execution.dispatch.claim import Claim, Fenced
from services.execution.domain import RunnerView
from services.execution.store.dispatch import ClaimStore

_REST = timedelta(seconds=2)


class Claims:
    """Takes the best waiting job for a runner."""

    def __init__(self, store: ClaimStore, backlog: Backlog) -> None:

        self._store = store
        self._backlog = backlog

    async def take(self, runner: RunnerView) -> Claim | None:
        """A new attempt on the runner, or None. Raises Unavailable, and Fenced when one is open there already."""
        digests = self._backlog.digests(runner)
        if not digests:
            return None
        try:
            return await self._store.claim(runner.runner_id, digests, _REST)
        except asyncpg.UniqueViolationError:
            # An attempt is open on this runner: it is to be adopted first.
            raise Fenced from None
