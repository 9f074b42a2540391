"""The written record of one attempt: each step is one transaction, and watchers hear of it after the commit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from comfyfleet.execution.v1.event_pb2 import JobEvent, LiveUpdate
from libs.clock import Clock
from libs.sql import Connection, Database
from services.execution.dispatch import news
from services.execution.dispatch.claim import Claim
from services.execution.dispatch.outcome import Outcome
from services.execution.dispatch.patience import patiently
from services.execution.dispatch.progress import Snapshot
from services.execution.domain import AttemptState, JobState
from services.execution.live import Live
from services.execution.store import events
from services.execution.store.dispatch import NewOutput, Steps

Step = Callable[[Steps], Awaitable[Sequence[JobEvent]]]


class Journal:
    """Raises Fenced when the attempt is no longer this replica's; waits while the database is away."""

    def __init__(self, database: Database, live: Live, clock: Clock, owner: UUID, claim: Claim) -> None:
        self._database = database
        self._live = live
        self._clock = clock
        self._owner = owner
        self._claim = claim
        self._order = asyncio.Lock()
        self.began = claim.state is AttemptState.RUNNING

    async def staged(self) -> None:
        """The inputs are on the runner."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            return [news.attempt(await steps.staged())]

        await self._write(step)

    async def submitted(self, runner_prompt_id: str, warnings: Sequence[str]) -> None:
        """The runner took the prompt, perhaps without some of its outputs."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            taken = news.attempt(await steps.submitted(runner_prompt_id))
            return [taken, *map(news.warning, warnings)]

        await self._write(step)

    async def running(self) -> None:
        """The runner executes the prompt."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            return await _begin(steps)

        await self._write(step)
        self.began = True

    async def outputs(self, outputs: Sequence[NewOutput]) -> None:
        """Results whose bytes are in the object store."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            await steps.guard()
            return await self._record(steps, outputs)

        await self._write(step)

    async def progress(self, snapshot: Snapshot) -> None:
        """Tell watchers how far it is; the database is not asked."""
        await self._live.publish(news.moved(self._claim.job_id, news.progress(snapshot)))

    async def store_progress(self, snapshot: Snapshot) -> None:
        """Keep the latest progress for those who ask later."""
        data = news.progress(snapshot).SerializeToString()
        async with self._database.connection() as connection:
            await Steps(connection, self._claim, self._owner).progress(data)

    async def preview(self, node_id: str, content_type: str, data: bytes) -> None:
        """Show watchers the work so far; never stored."""
        await self._live.publish(news.shown(self._claim.job_id, node_id, content_type, data))

    async def succeeded(self, outputs: Sequence[NewOutput], final: Snapshot) -> None:
        """The last results and the end, together. A cancel that came first wins."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            told = [] if self.began else await _begin(steps)
            told = [*told, *await self._record(steps, outputs)]
            told.append(news.attempt(await steps.ended(None, "")))
            progress = news.progress(final).SerializeToString()
            return [*told, news.status(await steps.job_ended(JobState.SUCCEEDED, None, progress))]

        await self._write(step)

    async def failed(self, outcome: Outcome, outputs: Sequence[NewOutput]) -> None:
        """The end of attempt and job."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            told = list(await self._record(steps, outputs))
            told.append(news.attempt(await steps.ended(outcome.failure, outcome.message)))
            return [*told, await _close(steps, outcome)]

        await self._write(step)

    async def lost(self, outcome: Outcome) -> None:
        """The end of the attempt alone: the job waits for another. A cancel that came first ends it instead."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            told = [news.attempt(await steps.ended(outcome.failure, outcome.message))]
            if await steps.job_requeued():
                return [*told, news.status(JobState.QUEUED)]
            return [*told, await _close(steps, outcome)]

        await self._write(step)

    async def _record(self, steps: Steps, outputs: Sequence[NewOutput]) -> list[JobEvent]:
        await steps.hold_blobs(outputs)
        return [news.output(output, self._claim.number) for output in outputs if await steps.output(output)]

    async def _write(self, step: Step) -> None:
        async with self._order:
            for update in await patiently(self._clock, lambda: self._commit(step)):
                await self._live.publish(update)

    async def _commit(self, step: Step) -> Sequence[LiveUpdate]:
        async with self._database.transaction() as connection:
            told = await step(Steps(connection, self._claim, self._owner))
            return [await self._append(connection, event) for event in told]

    async def _append(self, connection: Connection, event: JobEvent) -> LiveUpdate:
        return news.committed(self._claim.job_id, await events.append(connection, self._claim.job_id, event))


async def _begin(steps: Steps) -> list[JobEvent]:
    told = [news.attempt(await steps.running())]
    return [*told, news.status(JobState.RUNNING)] if await steps.job_running() else told


async def _close(steps: Steps, outcome: Outcome) -> JobEvent:
    """A job that is being cancelled ends cancelled, whatever its last attempt came to."""
    state = await steps.job_ended(outcome.job_state, news.error(outcome).SerializeToString())
    return news.status(state, outcome)
