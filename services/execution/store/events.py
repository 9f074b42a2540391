"""The event log of jobs: durable, gap-free, in order."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from comfyfleet.execution.v1.event_pb2 import JobEvent
from libs.sql import Connection, load_queries

_SQL = load_queries("services.execution.store", "events.sql")


async def append(connection: Connection, job_id: UUID, event: JobEvent) -> JobEvent:
    """Write the next event of a job inside the caller's transaction.

    Returns it with its sequence and time. The job's row stays locked until the transaction ends, so publish
    the event only after the commit.
    """
    row = await connection.fetchrow(_SQL.append_event, job_id, event.SerializeToString())
    if row is None:
        raise LookupError(f"job {job_id} is gone")
    return _numbered(event, row)


async def append_all(connection: Connection, job_id: UUID, events: Sequence[JobEvent]) -> Sequence[JobEvent]:
    """The same for several events, in one statement."""
    rows = await connection.fetch(_SQL.append_events, job_id, [event.SerializeToString() for event in events])
    if len(rows) < len(events):
        raise LookupError(f"job {job_id} is gone")
    return [_numbered(event, row) for event, row in zip(events, rows, strict=True)]


async def read_after(connection: Connection, job_id: UUID, sequence: int, limit: int) -> Sequence[JobEvent]:
    """At most `limit` events after a sequence, in order."""
    rows = await connection.fetch(_SQL.events_after, job_id, sequence, limit)
    return [_numbered(JobEvent.FromString(row["event"]), row) for row in rows]


def _numbered(event: JobEvent, row: asyncpg.Record) -> JobEvent:
    numbered = JobEvent()
    numbered.CopyFrom(event)
    numbered.sequence = row["sequence"]
    numbered.create_time.FromDatetime(row["create_time"])
    return numbered
