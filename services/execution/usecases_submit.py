"""Taking a job: check the graph, then store everything in one transaction, then wake dispatch."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from libs.errors import AlreadyExists, Exhausted, InvalidArgument
from libs.sql import Connection, Database
from services.execution import convert, graph
from services.execution.domain import DuplicatePolicy, JobState, Selector, Submission
from services.execution.graph import AssetReference, Graph, GraphLimits, NodeFault
from services.execution.ports import Fleet, SecretKeeper, Wakeups
from services.execution.store import jobs
from services.execution.store.jobs import NewJob
from services.execution.waiting import candidates

_T = TypeVar("_T")
_INLINE_BYTES = 64 << 10  # parsing more than this would hold up the event loop
_RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class SubmitLimits:
    """What one account may ask for, and how long its jobs are kept."""

    graph: GraphLimits
    open_jobs: int
    retention: timedelta


class SubmitJob:
    """The use case of the same name."""

    def __init__(
        self, database: Database, fleet: Fleet, wakeups: Wakeups, secrets: SecretKeeper, limits: SubmitLimits
    ) -> None:
        self._database = database
        self._fleet = fleet
        self._wakeups = wakeups
        self._secrets = secrets
        self._limits = limits

    async def submit(self, wish: Submission) -> tuple[UUID, bool]:
        """The job's id, and whether it is that of an earlier call with the same key."""
        body_digest = await _aside(wish, wish.digest) if wish.request_id else b""
        earlier = await self._earlier(wish, body_digest)
        if earlier is not None:
            return earlier, True
        checked = await _aside(wish, lambda: graph.read_graph(wish.workflow, self._limits.graph))
        selector = Selector.of(wish.account_id, wish.tier, wish.wants, checked.node_classes)
        self._refuse_unknown_classes(checked, selector)
        _refuse_missing(checked.assets, _ids(checked))
        if not await self._store(new := self._new_job(wish, checked, selector), checked, wish, body_digest):
            return await self.submit(wish)
        await self._wakeups.wake_dispatch(selector)
        return new.job_id, False

    async def _earlier(self, wish: Submission, body_digest: bytes) -> UUID | None:
        if not wish.request_id:
            return None
        async with self._database.connection() as connection:
            used = await jobs.find_request(connection, wish.account_id, wish.request_id)
        if used is None:
            return None
        if wish.duplicates is DuplicatePolicy.REFUSE or used.body_digest != body_digest:
            message = "this request_id was used before"
            raise AlreadyExists("IDEMPOTENCY_KEY_REUSE", message, metadata={"job_id": str(used.job_id)})
        return used.job_id

    def _refuse_unknown_classes(self, checked: Graph, selector: Selector) -> None:
        runners = candidates(selector, self._fleet) if self._fleet.synced else []
        known = [runner.node_classes for runner in runners if runner.node_classes is not None]
        if not runners or len(known) < len(runners):
            return
        faults = graph.unknown_classes(checked, frozenset[str]().union(*known))
        if faults:
            raise graph.invalid(faults)

    def _new_job(self, wish: Submission, checked: Graph, selector: Selector) -> NewJob:
        return NewJob(
            job_id=uuid4(),
            account_id=wish.account_id,
            selector=selector,
            priority=wish.priority,
            labels=wish.labels,
            needs_extra_data=bool(wish.extra_data),
            node_count=len(checked.classes),
            retention=self._limits.retention,
            workflow=wish.workflow,
            asset_ids=sorted(_ids(checked)),
        )

    async def _store(self, job: NewJob, checked: Graph, wish: Submission, body_digest: bytes) -> bool:
        """Store the job; false when a concurrent call took the key first."""
        async with self._database.transaction() as connection:
            if wish.request_id and not await jobs.claim_request(
                connection, job.account_id, wish.request_id, body_digest, job.job_id
            ):
                return False
            held = await jobs.hold_assets(connection, job.account_id, job.asset_ids)
            _refuse_missing(checked.assets, held)
            await jobs.insert(connection, job, convert.status_event(JobState.QUEUED))
            await self._refuse_full_queue(connection, job.account_id)
            if wish.extra_data:
                # A runner may claim the job the moment it is committed.
                self._secrets.put(job.job_id, wish.extra_data)
        return True

    async def _refuse_full_queue(self, connection: Connection, account_id: UUID) -> None:
        # Counted last: the lock that makes the count exact is held for the commit alone.
        if await jobs.count_open(connection, account_id) > self._limits.open_jobs:
            message = f"the account has {self._limits.open_jobs} open jobs, as many as it may have"
            raise Exhausted("QUEUE_FULL", message, retry_after=_RETRY_SECONDS)


def _ids(checked: Graph) -> frozenset[UUID]:
    return frozenset(reference.asset_id for reference in checked.assets if reference.asset_id is not None)


def _refuse_missing(references: Sequence[AssetReference], found: frozenset[UUID]) -> None:
    missing = [reference for reference in references if reference.asset_id not in found]
    if not missing:
        return
    first = missing[0]
    faults = [NodeFault(reference.node_id, reference.field, "missing_asset") for reference in missing]
    details = {
        "node_id": first.node_id,
        "asset_id": first.shown_id[:100].encode(errors="replace").decode(),
        "node_errors": graph.report(faults),
    }
    raise InvalidArgument("ASSET_MISSING", graph.missing_asset_text(first), metadata=details)


async def _aside(wish: Submission, work: Callable[[], _T]) -> _T:
    """Do the work in a thread when the graph is big."""
    return work() if len(wish.workflow) <= _INLINE_BYTES else await asyncio.to_thread(work)
