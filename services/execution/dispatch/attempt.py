"""One attempt from claim to end. Read `_to_outcome` from top to bottom: these are the steps of a job on a runner."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from libs.blobs import BlobStore
from libs.clock import Clock
from libs.comfy.reading import read_json
from libs.sql import Database
from services.execution.dispatch.cancel import Cancels, CancelWish
from services.execution.dispatch.claim import Claim, Fenced
from services.execution.dispatch.contact import Contact
from services.execution.dispatch.fleet import FleetState
from services.execution.dispatch.journal import Journal
from services.execution.dispatch.listener import Listener
from services.execution.dispatch.outcome import CANCELED, Outcome, of_history, runner_fault
from services.execution.dispatch.outputs import OutputCollector
from services.execution.dispatch.over import AttemptOver
from services.execution.dispatch.patience import patiently
from services.execution.dispatch.progress import ProgressTracker
from services.execution.dispatch.reporter import Reporter
from services.execution.dispatch.retry import final, has_others, tries_again
from services.execution.dispatch.settings import DispatchSettings
from services.execution.dispatch.staging import FindSecrets, Staging
from services.execution.dispatch.submission import Submission
from services.execution.dispatch.vigil import Vigil
from services.execution.domain import JobState
from services.execution.live import Live
from services.execution.store.dispatch import ClaimStore, NewOutput

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all attempts of a replica share."""

    replica_id: UUID
    database: Database
    claims: ClaimStore
    live: Live
    blobs: BlobStore
    clock: Clock
    settings: DispatchSettings
    fleet: FleetState
    cancels: Cancels
    find_secrets: FindSecrets


class AttemptDriver:
    """Drives one claim. Cancelling `drive` leaves the prompt on the runner: whoever adopts the attempt goes on."""

    def __init__(self, claim: Claim, contact: Contact, around: Surroundings) -> None:
        self._claim = claim
        self._contact = contact
        self._around = around
        self._journal = Journal(around.database, around.live, around.clock, around.replica_id, claim)
        self._graph: Mapping[str, Any] = read_json(claim.workflow)
        self._classes = {node_id: node["class_type"] for node_id, node in self._graph.items()}
        self._tracker = ProgressTracker(self._classes)
        self._reporter = Reporter(self._journal, self._tracker, around.clock, around.settings.preview_max_bytes)
        self._hint = asyncio.Event()
        self._cancel = CancelWish(self._hint.set)
        self._taken = False
        self._seen_running = False

    async def drive(self) -> Outcome:
        """Bring the attempt to its end and write it down. Raises Fenced when another replica took over."""
        self._around.cancels.enter(self._claim.job_id, self._cancel)
        if self._claim.job_state is JobState.CANCELING:
            self._cancel.ask()
        if not self._claim.adopted:
            self._journal.opened()
        try:
            async with asyncio.TaskGroup() as group:
                return await self._in_group(group)
        except BaseExceptionGroup as errors:
            if errors.subgroup(Fenced):
                # Being fenced explains everything else that went wrong at the same time.
                raise Fenced from errors
            return await self._broke(errors)
        finally:
            self._around.cancels.leave(self._claim.job_id)

    async def _broke(self, errors: BaseException) -> Outcome:
        """A fault of ours. Without an end here the next driver would run into it again and again."""
        _log.error("attempt_broke", job_id=str(self._claim.job_id), exc_info=errors)
        outcome = runner_fault("the attempt broke inside the service")
        await self._write_end(outcome, ())
        return outcome

    async def _in_group(self, group: asyncio.TaskGroup) -> Outcome:

        self._collector = await self._make_collector(group)
        self._listener = Listener(
            str(self._claim.prompt_id),
            self._classes,
            self._tracker,
            self._reporter,
            self._collector,
            self._begin,
            self._hint.set,
        )
        helpers = [
            group.create_task(self._journal.keep()),
            group.create_task(self._reporter.report_progress()),
            group.create_task(self._reporter.report_previews()),
        ]
        try:
            with self._contact.listen(self._listener.hear):
                outcome, results = await self._to_outcome()
            await self._close(outcome, results)
            return outcome
        finally:
            self._collector.abandon()
            for helper in helpers:
                helper.cancel()

    async def _to_outcome(self) -> tuple[Outcome, Sequence[NewOutput]]:
        """Every step of the attempt. The second part is what is stored but not yet recorded."""
        try:
            prompt_id = await self._submission().ensure()
            self._listener.submitted_as(prompt_id)
            self._taken = True
            if self._seen_running:
                self._begin()
            entry = await self._vigil(prompt_id).end()
            self._suspect_silence()
            outcome = of_history(entry)
            if outcome.failure is None:
                await self._listener.all_frames()
                return outcome, await self._collector.complete([*entry.files, *entry.data])
        except AttemptOver as over:
            outcome = over.outcome
        return outcome, await self._collector.unrecorded()

    async def _close(self, outcome: Outcome, results: Sequence[NewOutput]) -> None:

        await self._write_end(outcome, results)

    async def _write_end(self, outcome: Outcome, results: Sequence[NewOutput]) -> None:
        if outcome.failure is None:
            await self._journal.succeeded(results, self._tracker.complete())
        elif await self._tries_again(outcome):
            await self._journal.lost(outcome)
            await self._around.live.wake_dispatch(self._claim.selector)
        else:
            await self._journal.failed(final(outcome, self._claim.number), results)
        _log.info(
            "attempt_ended",
            job_id=str(self._claim.job_id),
            attempt=self._claim.number,
            runner_id=str(self._claim.runner_id),
            result=outcome.failure or "success",
            reason=outcome.message[:200],
        )

    def _suspect_silence(self) -> None:
        """A prompt that went through without a word on its socket: the socket is deaf."""
        if self._contact.connected and not self._claim.adopted and not self._listener.heard:
            self._contact.distrust_socket()

    def _begin(self) -> None:
        """The runner executes the prompt. That may be heard before the answer to the submission."""
        self._seen_running = True
        if self._taken:
            self._journal.running()

    async def _tries_again(self, outcome: Outcome) -> bool:
        claim, around = self._claim, self._around
        refused = {claim.runner_id}
        if outcome.elsewhere:
            refused |= await patiently(around.clock, lambda: around.claims.refused_by(claim.job_id))
        others = has_others(claim.selector, around.fleet.runners(), refused)
        return tries_again(outcome, claim.number, around.settings.max_attempts, others=others)

    async def _make_collector(self, group: asyncio.TaskGroup) -> OutputCollector:
        claim, around = self._claim, self._around
        stored: frozenset[tuple[str, str]] = frozenset()
        if claim.adopted:
            stored = await patiently(around.clock, lambda: around.claims.stored_outputs(claim))
        return OutputCollector(
            self._contact, around.blobs, self._journal, around.clock, group, stored, around.settings.output_copies
        )

    def _submission(self) -> Submission:
        around = self._around
        staging = Staging(around.claims, around.blobs, around.clock, around.find_secrets)
        return Submission(
            self._claim,
            self._graph,
            self._contact,
            self._journal,
            self._cancel,
            staging,
            around.clock,
            around.settings,
        )

    def _vigil(self, prompt_id: str) -> Vigil:
        return Vigil(
            prompt_id, self._contact, self._cancel, self._hint, self._begin, self._around.clock, self._around.settings
        )


async def end_orphan(claim: Claim, around: Surroundings) -> None:
    """End an attempt whose runner was removed, so that its job can go elsewhere."""
    journal = Journal(around.database, around.live, around.clock, around.replica_id, claim)
    outcome = CANCELED if claim.job_state is JobState.CANCELING else runner_fault("the runner was removed")
    if tries_again(outcome, claim.number, around.settings.max_attempts, others=False):
        await journal.lost(outcome)
        await around.live.wake_dispatch(claim.selector)
    else:
        await journal.failed(final(outcome, claim.number), ())
