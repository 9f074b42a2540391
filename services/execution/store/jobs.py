"""Jobs in PostgreSQL. What changes something belongs inside a transaction of the caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from comfyfleet.execution.v1.event_pb2 import JobEvent
from libs.sql import Connection, load_queries
from services.execution.domain import (
    Attempt,
    AttemptState,
    FailureClass,
    Job,
    JobState,
    ListFilter,
    Output,
    OutputKind,
    Selector,
)
from services.execution.store import events

_SQL = load_queries("services.execution.store", "jobs.sql")


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that was found acceptable and is to be stored."""

    job_id: UUID
    account_id: UUID
    selector: Selector
    priority: int
    labels: Mapping[str, str]
    needs_extra_data: bool
    node_count: int
    retention: timedelta
    workflow: bytes
    asset_ids: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class Request:
    """An idempotency key that was used, and what for."""

    body_digest: bytes
    job_id: UUID


async def find_request(connection: Connection, account_id: UUID, request_id: str) -> Request | None:
    """What the key was used for within its 24 hours."""
    row = await connection.fetchrow(_SQL.find_request, account_id, request_id)
    return Request(row["body_digest"], row["job_id"]) if row else None


async def claim_request(
    connection: Connection, account_id: UUID, request_id: str, body_digest: bytes, job_id: UUID
) -> bool:
    """Take the key for this job; false when another call has it."""
    row = await connection.fetchrow(_SQL.claim_request, account_id, request_id, body_digest, job_id)
    return row is not None


async def hold_assets(connection: Connection, account_id: UUID, asset_ids: Sequence[UUID]) -> frozenset[UUID]:
    """Those of the assets that the account may read, kept from deletion until the transaction ends."""
    if not asset_ids:
        return frozenset()
    rows = await connection.fetch(_SQL.hold_assets, asset_ids, account_id)
    return frozenset(UUID(int=row["asset_id"].int) for row in rows)


async def insert(connection: Connection, job: NewJob, first_event: JobEvent) -> None:
    """Store the job with its workflow, its inputs and its first event."""
    await connection.execute(
        _SQL.insert_job,
        job.job_id,
        job.account_id,
        await _selector_id(connection, job.selector),
        job.priority,
        dict(job.labels),
        job.needs_extra_data,
        job.node_count,
        job.retention,
        job.workflow,
        job.asset_ids,
        first_event.SerializeToString(),
    )


async def count_open(connection: Connection, account_id: UUID) -> int:
    """The account's open jobs, this transaction's included; nobody else counts until it ends."""
    await connection.execute(_SQL.lock_account, str(account_id))
    return int(await connection.fetchval(_SQL.open_jobs, account_id))


async def find(connection: Connection, job_id: UUID, account_id: UUID | None) -> Job | None:
    """One job; with an account only if it is that account's."""
    row = await connection.fetchrow(_SQL.find_job, job_id, account_id)
    return read_job(row) if row else None


async def queue_position(connection: Connection, job_id: UUID) -> int:
    """Waiting jobs of the same account ahead of a waiting job; counting stops at 1000."""
    return int(await connection.fetchval(_SQL.queue_position, job_id))


async def list_page(
    connection: Connection, account_id: UUID, wanted: ListFilter, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Job]:
    """The account's jobs, newest first, from behind `after`."""
    time, job_id = after or (None, None)
    states = [str(state) for state in wanted.states] if wanted.states else None
    labels = dict(wanted.labels) if wanted.labels else None
    rows = await connection.fetch(_SQL.list_jobs, account_id, time, job_id, states, labels, limit)
    return [read_job(row) for row in rows]


async def workflow(connection: Connection, job_id: UUID, account_id: UUID) -> bytes | None:
    """The graph as it was submitted."""
    found: bytes | None = await connection.fetchval(_SQL.workflow, job_id, account_id)
    return found


async def attempts(connection: Connection, job_id: UUID) -> Sequence[Attempt]:
    """Every try, oldest first."""
    return [_read_attempt(row) for row in await connection.fetch(_SQL.attempts, job_id)]


async def outputs(connection: Connection, job_id: UUID) -> Sequence[Output]:
    """Every stored result, in order."""
    return [_read_output(row) for row in await connection.fetch(_SQL.outputs, job_id)]


async def lock(connection: Connection, job_id: UUID, account_id: UUID) -> tuple[JobState, bool] | None:
    """State and whether an attempt is open; nothing else changes the job until the transaction ends."""
    row = await connection.fetchrow(_SQL.lock_job, job_id, account_id)
    return (JobState(row["state"]), row["attempt_open"]) if row else None


async def end_waiting(
    connection: Connection, job_id: UUID, state: JobState, event: JobEvent, error: bytes | None = None
) -> JobEvent:
    """End a locked job that no runner has; returns the event as it was stored."""
    await connection.execute(_SQL.end_waiting, job_id, state, error)
    return await events.append(connection, job_id, event)


async def begin_canceling(connection: Connection, job_id: UUID, event: JobEvent) -> JobEvent:
    """Store that a locked job is to end; returns the event as it was stored."""
    await connection.execute(_SQL.begin_canceling, job_id)
    return await events.append(connection, job_id, event)


async def overdue(connection: Connection, deadline: timedelta, limit: int) -> Sequence[Job]:
    """Jobs that waited longer than the deadline, locked until the transaction ends."""
    return [read_job(row) for row in await connection.fetch(_SQL.overdue, deadline, limit)]


async def count_waiting(connection: Connection) -> int:
    """Jobs of all accounts that wait for a runner; counting stops at 100,000."""
    return int(await connection.fetchval(_SQL.count_waiting))


async def forget_old(connection: Connection, limit: int) -> None:
    """Delete what nobody may ask for any more: used keys, ended jobs past their retention, dead replicas."""
    await connection.execute(_SQL.forget_requests)
    await connection.execute(_SQL.forget_jobs, limit)
    await connection.execute(_SQL.forget_replicas)


def read_job(row: asyncpg.Record) -> Job:
    """A row of `job` joined with its selector."""
    return Job(
        job_id=row["job_id"],
        account_id=row["account_id"],
        state=JobState(row["state"]),
        priority=row["priority"],
        labels=row["labels"],
        create_time=row["create_time"],
        queue_time=row["queue_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        expire_time=row["expire_time"],
        node_count=row["node_count"],
        progress=row["progress"],
        error=row["error"],
        attempt_count=row["attempt_count"],
        attempt_open=row["attempt_open"],
        last_sequence=row["last_sequence"],
        selector_id=row["selector_id"],
        selector=_read_selector(row),
    )


def _read_selector(row: asyncpg.Record) -> Selector:
    return Selector(row["account_id"], row["tier"], tuple(row["tags"]), row["runner_id"], tuple(row["node_classes"]))


def _read_attempt(row: asyncpg.Record) -> Attempt:
    failure = FailureClass(row["failure_class"]) if row["failure_class"] else None
    return Attempt(
        number=row["number"],
        runner_id=row["runner_id"],
        prompt_id=row["prompt_id"],
        state=AttemptState(row["state"]),
        create_time=row["create_time"],
        submit_time=row["submit_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        failure_class=failure,
        message=row["message"],
    )


def _read_output(row: asyncpg.Record) -> Output:
    return Output(
        asset_id=row["asset_id"],
        node_id=row["node_id"],
        name=row["name"],
        kind=OutputKind(row["kind"]),
        content_type=row["content_type"],
        size_bytes=row["size_bytes"],
        hash=row["hash"],
        attempt=row["attempt"],
    )


async def _selector_id(connection: Connection, selector: Selector) -> int:
    wants = (selector.account_id, selector.tier, selector.tags, selector.runner_id, selector.node_classes)
    while True:
        found = await connection.fetchval(_SQL.selector_id, selector.digest(), *wants)
        if found is not None:
            return int(found)
