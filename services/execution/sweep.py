"""Tidying up: jobs that waited too long, records past their time, bytes that nobody needs."""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from prometheus_client import Gauge

from comfyfleet.execution.v1.event_pb2 import LiveUpdate
from libs.blobs import BlobStore
from libs.clock import Clock
from libs.errors import Unavailable
from libs.sql import Connection, Database
from services.execution import convert
from services.execution.domain import Job, JobState
from services.execution.live import Live
from services.execution.ports import Fleet
from services.execution.store import assets, jobs
from services.execution.waiting import waiting_reason

_BATCH = 200
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SweepRules:
    """`interval` in seconds between two rounds."""

    interval: float
    queue_deadline: timedelta
    orphan_grace: timedelta


class Sweep:
    """A background loop. Replicas may sweep at once: each row is taken by one of them."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        live: Live,
        fleet: Fleet,
        clock: Clock,
        rules: SweepRules,
        waiting: Gauge,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._live = live
        self._fleet = fleet
        self._clock = clock
        self._rules = rules
        self._waiting = waiting

    async def run(self) -> None:
        """Sweep for ever; what is away now is swept next time."""
        while True:
            try:
                await self.once()
            except Unavailable as error:
                _log.warning("sweep_postponed", reason=error.reason)
            await self._clock.sleep(self._rules.interval)

    async def once(self) -> None:
        """One round."""
        while await self._expire_batch() == _BATCH:
            pass
        async with self._database.connection() as connection:
            await jobs.forget_old(connection, _BATCH)
            await assets.forget_expired(connection, _BATCH)
            orphans = await assets.orphan_candidates(connection, self._rules.orphan_grace, _BATCH)
            self._waiting.set(await jobs.count_waiting(connection))
        for digest in orphans:
            await self._delete_orphan(digest)

    async def _expire_batch(self) -> int:
        async with self._database.transaction() as connection:
            late = await jobs.overdue(connection, self._rules.queue_deadline, _BATCH)
            updates = [await self._expire(connection, job) for job in late]
        for update in updates:
            await self._live.publish(update)
        return len(updates)

    async def _expire(self, connection: Connection, job: Job) -> LiveUpdate:
        error = convert.expired(waiting_reason(job, self._fleet))
        event = convert.status_event(JobState.EXPIRED, error)
        stored = await jobs.end_waiting(connection, job.job_id, JobState.EXPIRED, event, error.SerializeToString())
        return LiveUpdate(job_id=str(job.job_id), event=stored)

    async def _delete_orphan(self, digest: bytes) -> None:
        async with self._database.transaction() as connection:
            if await assets.release_orphan(connection, digest):
                # Before the commit: an upload of the same bytes waits for the lock and then looks for them.
                await self._blobs.delete(digest)
