"""Claims and the steps of attempts. Every step names job, number and owner: a fenced replica changes nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg

from libs.sql import Connection, Database, load_queries
from services.execution.dispatch.claim import Claim, Fenced
from services.execution.domain import Attempt, AttemptState, FailureClass, JobState, OutputKind, Selector
from services.execution.store import assets

_SQL = load_queries("services.execution.store", "dispatch.sql")


@dataclass(frozen=True, slots=True)
class InputAsset:
    """An asset that a job reads."""

    asset_id: UUID
    hash: bytes
    file_path: str
    content_type: str


@dataclass(frozen=True, slots=True)
class NewOutput:
    """A result whose bytes are in the object store. `source` says where it was on the runner."""

    asset_id: UUID
    node_id: str
    source: str
    position: int
    name: str
    kind: OutputKind
    content_type: str
    hash: bytes
    size_bytes: int


class ClaimStore:
    """How attempts come to this replica. Raises Unavailable while the database is away."""

    def __init__(self, database: Database, replica_id: UUID, ttl: timedelta) -> None:
        self._database = database
        self._replica_id = replica_id
        self._ttl = ttl

    async def waiting_selectors(self) -> list[Selector]:
        """What the waiting jobs ask for."""
        return [_selector(row) for row in await self._database.fetch(_SQL.waiting_selectors)]

    async def claim(self, runner_id: UUID, digests: Collection[bytes], rest: timedelta) -> Claim | None:
        """Open an attempt of the best job that waits under one of the selectors; None when there is none.

        A job does not come back to a runner that refused it, nor within `rest` to one that lost it.
        """
        row = await self._database.fetchrow(
            _SQL.claim_job, runner_id, self._replica_id, list(digests), rest, uuid4(), self._ttl
        )
        return _claim(row, adopted=False) if row else None

    async def adopt(self, runner_id: UUID) -> Claim | None:
        """Take over the open attempt on a runner that this replica leases; None when there is none."""
        row = await self._database.fetchrow(_SQL.adopt_attempt, runner_id, self._replica_id, self._ttl)
        return _claim(row, adopted=True) if row else None

    async def adopt_orphans(self, runner_ids: Collection[UUID]) -> list[Claim]:
        """Take over what was left on runners that are not among those known."""
        rows = await self._database.fetch(_SQL.adopt_orphans, self._replica_id, self._ttl, list(runner_ids))
        return [_claim(row, adopted=True) for row in rows]

    async def canceled_jobs(self) -> list[UUID]:
        """Jobs driven here whose end was asked for."""
        return [row["job_id"] for row in await self._database.fetch(_SQL.canceled_jobs, self._replica_id)]

    async def ended_attempts(self, prompt_ids: Collection[UUID]) -> frozenset[UUID]:
        """Which of the prompts are ours and over."""
        rows = await self._database.fetch(_SQL.ended_attempts, list(prompt_ids))
        return frozenset(row["prompt_id"] for row in rows)

    async def refused_by(self, job_id: UUID) -> frozenset[UUID]:
        """The runners that refused the job."""
        return frozenset(row["runner_id"] for row in await self._database.fetch(_SQL.refused_by, job_id))

    async def input_assets(self, job_id: UUID) -> dict[UUID, InputAsset]:
        """What the job reads, by asset id."""
        rows = await self._database.fetch(_SQL.input_assets, job_id)
        return {row["asset_id"]: InputAsset(**dict(row)) for row in rows}

    async def stored_outputs(self, claim: Claim) -> frozenset[tuple[str, str]]:
        """(node, source) of the results that the attempt already has."""
        rows = await self._database.fetch(_SQL.stored_outputs, claim.job_id, claim.number)
        return frozenset((row["node_id"], row["source"]) for row in rows)


class Steps:
    """The writes of one attempt inside a caller's transaction. They raise Fenced when it is no longer ours."""

    def __init__(self, connection: Connection, claim: Claim, owner: UUID) -> None:
        self._connection = connection
        self._claim = claim
        self._key = (claim.job_id, claim.number, owner)

    async def staged(self) -> Attempt:
        """The inputs are on the runner."""
        return await self._mark(_SQL.mark_staged)

    async def submitted(self, runner_prompt_id: str) -> Attempt:
        """The runner has the prompt."""
        return await self._mark(_SQL.mark_submitted, runner_prompt_id)

    async def running(self) -> Attempt:
        """The runner executes it."""
        return await self._mark(_SQL.mark_running)

    async def ended(self, failure: FailureClass | None, message: str) -> Attempt:
        """Over; nothing is written after this."""
        return await self._mark(_SQL.mark_ended, failure, message)

    async def job_running(self) -> bool:
        """Show the job as running; False when it is already, or is being cancelled."""
        return await self._connection.fetchrow(_SQL.mark_job_running, self._claim.job_id) is not None

    async def job_ended(self, state: JobState, error: bytes | None, progress: bytes | None = None) -> JobState:
        """Write the terminal state and return it: a job that is being cancelled ends cancelled."""
        row = await self._connection.fetchrow(_SQL.end_job, self._claim.job_id, state, error, progress)
        if row is None:
            raise Fenced
        return JobState(row["state"])

    async def job_requeued(self) -> bool:
        """Let the job wait for another attempt; False when it is being cancelled."""
        return await self._connection.fetchrow(_SQL.requeue_job, self._claim.job_id) is not None

    async def guard(self) -> None:
        """Hold the attempt until the transaction ends."""
        if await self._connection.fetchrow(_SQL.guard_attempt, *self._key) is None:
            raise Fenced

    async def progress(self, progress: bytes) -> None:
        """Store the latest snapshot."""
        await self._connection.execute(_SQL.store_progress, *self._key, progress)

    async def hold_blobs(self, outputs: Sequence[NewOutput]) -> None:
        """Note the bytes and keep them from the sweep until the transaction ends.

        Always in the same order: jobs with the same results would else wait for each other.
        """
        for digest, size_bytes in sorted({(output.hash, output.size_bytes) for output in outputs}):
            await assets.hold_blob(self._connection, digest, size_bytes)

    async def output(self, output: NewOutput) -> bool:
        """Record a result whose bytes are held; False when it is recorded already."""
        claim = self._claim
        row = await self._connection.fetchrow(
            _SQL.keep_output,
            output.asset_id,
            claim.account_id,
            output.hash,
            output.content_type,
            output.name,
            claim.job_expire_time,
            claim.job_id,
            output.node_id,
            output.kind,
            claim.number,
            output.position,
            output.source,
        )
        return row is not None

    async def _mark(self, statement: str, *values: object) -> Attempt:
        row = await self._connection.fetchrow(statement, *self._key, *values)
        if row is None:
            raise Fenced
        return _attempt(row)


def _attempt(row: asyncpg.Record) -> Attempt:
    return Attempt(
        number=row["number"],
        runner_id=row["runner_id"],
        prompt_id=row["prompt_id"],
        state=AttemptState(row["state"]),
        create_time=row["create_time"],
        submit_time=row["submit_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        failure_class=FailureClass(row["failure_class"]) if row["failure_class"] else None,
        message=row["message"],
    )


def _claim(row: asyncpg.Record, *, adopted: bool) -> Claim:
    return Claim(
        job_id=row["job_id"],
        account_id=row["account_id"],
        number=row["number"],
        runner_id=row["runner_id"],
        prompt_id=row["prompt_id"],
        runner_prompt_id=row["runner_prompt_id"],
        state=AttemptState(row["state"]),
        job_state=JobState(row["job_state"]),
        create_time=row["create_time"],
        needs_extra_data=row["needs_extra_data"],
        node_count=row["node_count"],
        job_expire_time=row["job_expire_time"],
        selector=Selector(
            row["account_id"],
            row["tier"],
            tuple(row["tags"]),
            row["pinned_runner_id"],
            tuple(row["node_classes"]),
        ),
        adopted=adopted,
        workflow=row["workflow"],
    )


def _selector(row: asyncpg.Record) -> Selector:
    return Selector(row["account_id"], row["tier"], tuple(row["tags"]), row["runner_id"], tuple(row["node_classes"]))


def opened(claim: Claim) -> Attempt:
    """The attempt as it was when the claim was made."""
    return Attempt(
        claim.number, claim.runner_id, claim.prompt_id, claim.state, claim.create_time, None, None, None, None, ""
    )
