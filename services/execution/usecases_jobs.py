"""Looking at jobs and ending them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from comfyfleet.execution.v1.event_pb2 import JobEvent, LiveUpdate
from libs.errors import NotFound
from libs.sql import Connection, Database
from services.execution import convert
from services.execution.domain import Job, JobState, JobView, ListFilter, QueueView
from services.execution.live import Live
from services.execution.ports import Fleet
from services.execution.store import jobs
from services.execution.waiting import waiting_reason


def no_job() -> NotFound:
    """The error for a job that does not exist or is somebody else's."""
    return NotFound("JOB_NOT_FOUND", "there is no such job")


class ReadJobs:
    """GetJob, ListJobs and GetJobWorkflow."""

    def __init__(self, database: Database, fleet: Fleet) -> None:
        self._database = database
        self._fleet = fleet

    async def get(self, account_id: UUID, job_id: UUID) -> JobView:
        """The job with everything its owner may know. Raises NotFound: JOB_NOT_FOUND."""
        async with self._database.connection() as connection:
            job = await jobs.find(connection, job_id, account_id)
            if job is None:
                raise no_job()
            queue = await self._queue(connection, job)
            if job.attempt_count == 0:
                return JobView(job, queue)
            tries = await jobs.attempts(connection, job_id)
            return JobView(job, queue, tries, await jobs.outputs(connection, job_id))

    async def peek(self, account_id: UUID, job_id: UUID) -> tuple[Job, QueueView]:
        """The job and its place in the queue alone: what a watcher asks for again and again."""
        async with self._database.connection() as connection:
            job = await jobs.find(connection, job_id, account_id)
            if job is None:
                raise no_job()
            return job, await self._queue(connection, job)

    async def page(
        self, account_id: UUID, wanted: ListFilter, after: tuple[datetime, UUID] | None, size: int
    ) -> tuple[Sequence[tuple[Job, QueueView]], bool]:
        """Up to `size` jobs without queue positions, and whether more follow."""
        async with self._database.connection() as connection:
            found = await jobs.list_page(connection, account_id, wanted, after, size + 1)
        shown = [(job, QueueView(None, waiting_reason(job, self._fleet))) for job in found[:size]]
        return shown, len(found) > size

    async def workflow(self, account_id: UUID, job_id: UUID) -> bytes:
        """The graph as it was submitted. Raises NotFound: JOB_NOT_FOUND."""
        async with self._database.connection() as connection:
            found = await jobs.workflow(connection, job_id, account_id)
        if found is None:
            raise no_job()
        return found

    async def _queue(self, connection: Connection, job: Job) -> QueueView:
        position = await jobs.queue_position(connection, job.job_id) if job.waits else None
        return QueueView(position, waiting_reason(job, self._fleet))


class CancelJob:
    """The use case of the same name. The intent is stored first, so that it survives any restart."""

    def __init__(self, database: Database, live: Live) -> None:
        self._database = database
        self._live = live

    async def cancel(self, account_id: UUID, job_id: UUID) -> None:
        """End a waiting job at once; tell whoever drives it otherwise. Raises NotFound: JOB_NOT_FOUND."""
        async with self._database.transaction() as connection:
            found = await jobs.lock(connection, job_id, account_id)
            if found is None:
                raise no_job()
            event = await _cancel(connection, job_id, *found)
        if event is not None:
            await self._live.publish(LiveUpdate(job_id=str(job_id), event=event))
            await self._live.job_canceled(job_id)


async def _cancel(connection: Connection, job_id: UUID, state: JobState, attempt_open: bool) -> JobEvent | None:
    if state.terminal or state is JobState.CANCELING:
        return None
    if state is JobState.QUEUED and not attempt_open:
        event = convert.status_event(JobState.CANCELED)
        return await jobs.end_waiting(connection, job_id, JobState.CANCELED, event)
    return await jobs.begin_canceling(connection, job_id, convert.status_event(JobState.CANCELING))
