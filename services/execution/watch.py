"""Following a job: subscribe, read the snapshot, then follow; the event table fills every gap.

The bus only makes it quick. A look at the table every few seconds makes it right.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import structlog

from comfyfleet.execution.v1.event_pb2 import JobEvent, LiveUpdate, Preview
from comfyfleet.execution.v1.job_pb2 import JOB_STATE_QUEUED, Progress
from libs.clock import Clock
from libs.errors import Unavailable
from libs.rpc.server import Draining
from libs.sql import Database
from libs.watch import Subscription
from services.execution.domain import Job, JobState, JobView, QueueView
from services.execution.live import Live, is_end
from services.execution.store import events
from services.execution.usecases_jobs import ReadJobs

Update: TypeAlias = JobView | JobEvent | Progress | Preview | QueueView

_PAGE = 500
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a watcher is told and the table is asked, in seconds."""

    progress: float = 0.25
    queue: float = 1.0
    table: float = 5.0
    table_without_bus: float = 1.0


class WatchJobs:
    """The use case WatchJob."""

    def __init__(
        self, database: Database, jobs: ReadJobs, live: Live, clock: Clock, pace: Pace, draining: Draining
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._live = live
        self._clock = clock
        self._pace = pace
        self._draining = draining

    async def watch(
        self, account_id: UUID, job_id: UUID, after: int | None, previews: bool
    ) -> AsyncGenerator[Update, None]:
        """The job now, then every change, its end last. Raises NotFound; Unavailable when draining."""
        with self._live.follow(job_id) as mailbox:
            view = await self._jobs.get(account_id, job_id)
            yield view
            follower = _Follower(view, after, self._pace, self._clock.monotonic())
            if previews:
                follower.offer_preview(self._live.preview(job_id))
            while True:
                await self._look(follower, account_id, job_id)
                for update in follower.flush(self._clock.monotonic()):
                    yield update
                if follower.ended:
                    return
                self._refuse_drain()
                await mailbox.wait(follower.patience(self._clock.monotonic()))
                self._take(follower, mailbox, job_id, previews)

    def _refuse_drain(self) -> None:
        if self._draining.begun:
            message = "this server is going away; resume with after_sequence"
            raise Unavailable("SERVICE_UNAVAILABLE", message, retry_after=0.5)

    def _take(self, follower: "_Follower", mailbox: Subscription[LiveUpdate], job_id: UUID, previews: bool) -> None:
        if mailbox.take_missed():
            follower.lost_something()
        for update in mailbox.take():
            match update.WhichOneof("update"):
                case "event":
                    follower.offer_event(update.event)
                case "progress":
                    follower.offer_progress(update.progress)
                case "preview" if previews:
                    follower.offer_preview(self._live.preview(job_id))

    async def _look(self, follower: "_Follower", account_id: UUID, job_id: UUID) -> None:
        """Ask the tables when it is time, or when the news had a gap."""
        if not follower.wants_look(self._clock.monotonic(), self._live.connected):
            return
        try:
            await self._read(follower, account_id, job_id)
        except Unavailable as error:
            # The watcher has its snapshot: a database that comes back in a moment need not end the stream.
            log.warning("watch_postponed", job_id=str(job_id), reason=error.reason)
            follower.postpone(self._clock.monotonic())

    async def _read(self, follower: "_Follower", account_id: UUID, job_id: UUID) -> None:
        job, queue = await self._jobs.peek(account_id, job_id)
        follower.saw(job, queue, self._clock.monotonic())
        while follower.sequence < job.last_sequence:
            async with self._database.connection() as connection:
                page = await events.read_after(connection, job_id, follower.sequence, _PAGE)
            follower.replay(page)
            if not page:
                break


class _Follower:
    """What one watcher was told, and what it is to be told next. Durable events wait; of the rest the latest."""

    def __init__(self, view: JobView, after: int | None, pace: Pace, now: float) -> None:
        last = view.job.last_sequence
        self._pace = pace
        self._ready: list[JobEvent] = []
        self.sequence = last if after is None else min(after, last)
        self.ended = view.job.state.terminal and self.sequence == last
        self._behind = self.sequence < last
        self._postponed = False
        self._queued = view.job.state is JobState.QUEUED
        self._queue_told = view.queue
        self._queue: QueueView | None = None
        self._stored_progress = view.job.progress
        self._progress: Progress | None = None
        self._preview: Preview | None = None
        self._told_progress = self._told_preview = now - pace.progress
        self._looked = now

    def lost_something(self) -> None:
        """The mailbox overflowed: only the table knows."""
        self._behind = True

    def offer_event(self, event: JobEvent) -> None:
        """Take the event if it is the next one; an older one is known, a later one shows a gap."""
        if event.sequence == self.sequence + 1:
            self._accept(event)
        elif event.sequence > self.sequence:
            self._behind = True

    def replay(self, page: Sequence[JobEvent]) -> None:
        """Take what the table has."""
        for event in page:
            self.offer_event(event)

    def offer_progress(self, progress: Progress) -> None:
        """Remember the latest."""
        self._progress = progress

    def offer_preview(self, preview: Preview | None) -> None:
        """Remember the latest."""
        self._preview = preview

    def wants_look(self, now: float, connected: bool) -> bool:
        """Whether it is time to ask the tables."""
        if self._postponed:
            return now - self._looked >= self._pace.table_without_bus
        return self._behind or now - self._looked >= self._interval(connected)

    def postpone(self, now: float) -> None:
        """The tables did not answer: ask again after a pause."""
        self._looked = now
        self._postponed = True

    def saw(self, job: Job, queue: QueueView, now: float) -> None:
        """Compare a fresh row with what was told; a gap is closed by the replay that follows."""
        self._looked = now
        self._behind = self._postponed = False
        self._queued = job.state is JobState.QUEUED
        if self._queued and queue != self._queue_told:
            self._queue = queue
        if job.progress is not None and job.progress != self._stored_progress:
            self._stored_progress = job.progress
            self._progress = self._progress or Progress.FromString(job.progress)

    def patience(self, now: float) -> float:
        """How long to wait for news before there is something else to do, in seconds; at most one."""
        if self._behind and not self._postponed:
            return 0
        due = [1.0, self._looked + self._interval(connected=False) - now]
        if self._progress is not None:
            due.append(self._told_progress + self._pace.progress - now)
        if self._preview is not None:
            due.append(self._told_preview + self._pace.progress - now)
        return max(0.0, min(due))

    def flush(self, now: float) -> Iterator[Update]:
        """What may be told now, in order."""
        ready, self._ready = self._ready, []
        yield from ready
        if self.ended or self._behind:
            return
        if self._queue is not None and self._queued:
            self._queue_told, self._queue = self._queue, None
            yield self._queue_told
        if self._progress is not None and now - self._told_progress >= self._pace.progress:
            progress, self._progress, self._told_progress = self._progress, None, now
            yield progress
        if self._preview is not None and now - self._told_preview >= self._pace.progress:
            preview, self._preview, self._told_preview = self._preview, None, now
            yield preview

    def _accept(self, event: JobEvent) -> None:
        self.sequence = event.sequence
        self._ready.append(event)
        self.ended = is_end(event)
        if event.HasField("status"):
            self._queued = event.status.state == JOB_STATE_QUEUED

    def _interval(self, connected: bool) -> float:
        if self._queued:
            return self._pace.queue
        return self._pace.table if connected else self._pace.table_without_bus
