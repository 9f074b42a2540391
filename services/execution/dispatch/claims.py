"""Claiming: one transaction opens the attempt, marks the job and writes the event."""

from datetime import timedelta

import asyncpg

from libs.sql import Database
from services.execution.dispatch import news
from services.execution.dispatch.backlog import Backlog
from services.execution.dispatch.claim import Claim, Fenced
from services.execution.domain import RunnerView
from services.execution.live import Live
from services.execution.store import events
from services.execution.store.dispatch import ClaimStore, opened

_REST = timedelta(seconds=2)


class Claims:
    """Takes the best waiting job for a runner."""

    def __init__(self, database: Database, store: ClaimStore, backlog: Backlog, live: Live) -> None:
        self._database = database
        self._store = store
        self._backlog = backlog
        self._live = live

    async def take(self, runner: RunnerView) -> Claim | None:
        """A new attempt on the runner, or None. Raises Unavailable, and Fenced when one is open there already."""
        digests = self._backlog.digests(runner)
        if not digests:
            return None
        try:
            async with self._database.transaction() as connection:
                claim = await self._store.claim(connection, runner.runner_id, digests, _REST)
                if claim is None:
                    return None
                event = await events.append(connection, claim.job_id, news.attempt(opened(claim)))
        except asyncpg.UniqueViolationError:
            # An attempt is open on this runner: it is to be adopted first.
            raise Fenced from None
        await self._live.publish(news.committed(claim.job_id, event))
        return claim
