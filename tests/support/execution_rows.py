"""What dispatch and time do to the rows of execution, done by hand."""

from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg

from comfyfleet.execution.v1.event_pb2 import JobEvent, LiveUpdate, LogEvent
from comfyfleet.execution.v1.job_pb2 import Progress
from libs.blobs import BlobStore
from libs.bus import LocalBus
from libs.clock import SystemClock
from libs.observe.metrics import Metrics
from libs.sql import Database
from services.execution import convert
from services.execution.domain import JobState
from services.execution.live import Live
from services.execution.store import events
from services.execution.sweep import Sweep, SweepRules
from tests.support.execution import StandingFleet


class Rows:
    """Writes to the tables of a running service."""

    def __init__(self, database: Database, blobs: BlobStore, live: Live | None = None) -> None:
        self._database = database
        self._blobs = blobs
        self.live = live or Live(LocalBus())

    async def execute(self, statement: str, *values: object) -> None:
        """Run a statement."""
        await self._database.execute(statement, *values)

    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Rows of a statement."""
        return list(await self._database.fetch(statement, *values))

    async def open_attempt(self, job_id: str, state: str) -> None:
        """A runner has taken the job."""
        await self.execute(
            "insert into attempt (job_id, number, runner_id, prompt_id, state, owner, lease_expire_time)"
            " values ($1, 1, $2, $3, 'submitted', $4, now() + interval '1 hour')",
            UUID(job_id),
            uuid4(),
            uuid4(),
            uuid4(),
        )
        statement = "update job set state = $2, attempt_open = true, attempt_count = 1 where job_id = $1"
        await self.execute(statement, UUID(job_id), state)

    async def age(self, job_id: str, by: timedelta) -> None:
        """The job waits since longer."""
        await self.execute("update job set queue_time = queue_time - $2::interval where job_id = $1", UUID(job_id), by)

    async def log(self, job_id: str, message: str, *, tell: bool = True) -> JobEvent:
        """Append a line to the job's log, and perhaps lose the news of it."""
        event = JobEvent(log=LogEvent(level="info", message=message))
        async with self._database.transaction() as connection:
            stored = await events.append(connection, UUID(job_id), event)
        if tell:
            await self.live.publish(LiveUpdate(job_id=job_id, event=stored))
        return stored

    async def move(self, job_id: str, state: JobState, *, tell: bool = True) -> JobEvent:
        """Change the job's state."""
        async with self._database.transaction() as connection:
            statement = "update job set state = $2, attempt_open = false, end_time = case when $3 then now() end"
            await connection.execute(statement + " where job_id = $1", UUID(job_id), state, state.terminal)
            stored = await events.append(connection, UUID(job_id), convert.status_event(state))
        if tell:
            await self.live.publish(LiveUpdate(job_id=job_id, event=stored))
        return stored

    async def progress(self, job_id: str, value: float) -> None:
        """Store the job's progress."""
        data = Progress(value=value).SerializeToString()
        await self.execute("update job set progress = $2 where job_id = $1", UUID(job_id), data)

    async def sweep(self) -> None:
        """One round of tidying up, with a grace of nothing for orphans."""
        rules = SweepRules(1, queue_deadline=timedelta(days=1), orphan_grace=timedelta(0))
        waiting = Metrics().gauge("waiting", "waiting jobs")
        sweep = Sweep(self._database, self._blobs, self.live, StandingFleet(), SystemClock(), rules, waiting)
        await sweep.once()
