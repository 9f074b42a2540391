"""The written record of one attempt, in order. What is noted close together is one transaction; watchers hear of it
after the commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from uuid import UUID

from comfyfleet.execution.v1.event_pb2 import JobEvent
from libs.clock import Clock
from libs.sql import Database
from services.execution.dispatch import news
from services.execution.dispatch.claim import Claim
from services.execution.dispatch.outcome import Outcome
from services.execution.dispatch.patience import patiently
from services.execution.dispatch.progress import Snapshot
from services.execution.domain import AttemptState, JobState
from services.execution.live import Live
from services.execution.store import events
from services.execution.store.dispatch import NewOutput, Steps, opened

# Steps that follow each other this closely are written together: the way of a short job is two transactions.
_GATHER_SECONDS = 0.02

Step = Callable[[Steps], Awaitable[Sequence[JobEvent]]]


class Journal:
    """Steps are noted without waiting, so that the database never holds up the runner; an end waits for them all.

    Waits while the database is away. Writing raises Fenced when the attempt is no longer this replica's.
    """

    def __init__(self, database: Database, live: Live, clock: Clock, owner: UUID, claim: Claim) -> None:
        self._database = database
        self._live = live
        self._clock = clock
        self._owner = owner
        self._claim = claim
        self._steps: list[Step] = []
        self._noted = asyncio.Event()
        self._order = asyncio.Lock()
        self._began = claim.state is AttemptState.RUNNING
        self._finishing = asyncio.Event()

    async def keep(self) -> None:
        """Write what is noted, until cancelled."""
        while True:
            await self._noted.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(_GATHER_SECONDS):
                    await self._finishing.wait()
                    return
            await self._write()

    def opened(self) -> None:
        """The claim was made."""

        async def step(_: Steps) -> Sequence[JobEvent]:
            return [news.attempt(opened(self._claim))]

        self._note(step)

    def staged(self) -> None:
        """The inputs are on the runner."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            return [news.attempt(await steps.staged())]

        self._note(step)

    def submitted(self, runner_prompt_id: str, warnings: Sequence[str]) -> None:
        """The runner took the prompt, perhaps without some of its outputs."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            taken = news.attempt(await steps.submitted(runner_prompt_id))
            return [taken, *map(news.warning, warnings)]

        self._note(step)

    def running(self) -> None:
        """The runner executes the prompt. To be noted after `submitted`; again does nothing."""
        if not self._began:
            self._began = True
            self._note(_begin)

    def outputs(self, outputs: Sequence[NewOutput]) -> None:
        """Results whose bytes are in the object store."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            await steps.guard()
            return await self._record(steps, outputs)

        self._note(step)

    async def succeeded(self, outputs: Sequence[NewOutput], final: Snapshot) -> None:
        """The last results and the end, together. A cancel that came first wins."""
        self.running()

        async def step(steps: Steps) -> Sequence[JobEvent]:
            told = await self._record(steps, outputs)
            told.append(news.attempt(await steps.ended(None, "")))
            progress = news.progress(final).SerializeToString()
            return [*told, news.status(await steps.job_ended(JobState.SUCCEEDED, None, progress))]

        await self._finish(step)

    async def failed(self, outcome: Outcome, outputs: Sequence[NewOutput]) -> None:
        """The end of attempt and job."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            told = await self._record(steps, outputs)
            told.append(news.attempt(await steps.ended(outcome.failure, outcome.message)))
            return [*told, await _close(steps, outcome)]

        await self._finish(step)

    async def lost(self, outcome: Outcome) -> None:
        """The end of the attempt alone: the job waits for another. A cancel that came first ends it instead."""

        async def step(steps: Steps) -> Sequence[JobEvent]:
            told = [news.attempt(await steps.ended(outcome.failure, outcome.message))]
            if await steps.job_requeued():
                return [*told, news.status(JobState.QUEUED)]
            return [*told, await _close(steps, outcome)]

        await self._finish(step)

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

    async def _record(self, steps: Steps, outputs: Sequence[NewOutput]) -> list[JobEvent]:
        await steps.hold_blobs(outputs)
        return [news.output(output, self._claim.number) for output in outputs if await steps.output(output)]

    def _note(self, step: Step) -> None:
        self._steps.append(step)
        self._noted.set()

    async def _finish(self, step: Step) -> None:
        self._note(step)
        self._finishing.set()
        await self._write()

    async def _write(self) -> None:
        async with self._order:
            self._noted.clear()
            steps, self._steps = self._steps, []
            for event in await patiently(self._clock, lambda: self._commit(steps)):
                await self._live.publish(news.committed(self._claim.job_id, event))

    async def _commit(self, noted: Sequence[Step]) -> Sequence[JobEvent]:
        if not noted:
            return ()
        async with self._database.transaction() as connection:
            steps = Steps(connection, self._claim, self._owner)
            told = [event for step in noted for event in await step(steps)]
            return await events.append_all(connection, self._claim.job_id, told)


async def _begin(steps: Steps) -> Sequence[JobEvent]:
    told = [news.attempt(await steps.running())]
    return [*told, news.status(JobState.RUNNING)] if await steps.job_running() else told


async def _close(steps: Steps, outcome: Outcome) -> JobEvent:
    """A job that is being cancelled ends cancelled, whatever its last attempt came to."""
    state = await steps.job_ended(outcome.job_state, news.error(outcome).SerializeToString())
    return news.status(state, outcome)
