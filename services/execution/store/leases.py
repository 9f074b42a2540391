"""Which replicas live, and which of them drives which runner. The database's clock decides."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from libs.sql import Database, load_queries

_SQL = load_queries("services.execution.store", "leases.sql")


@dataclass(frozen=True, slots=True)
class Renewal:
    """What is left after a beat: the runners that are still ours, and how many replicas live."""

    kept: frozenset[UUID]
    replicas: int


class LeaseStore:
    """The leases of one replica. Raises Unavailable while the database is away."""

    def __init__(self, database: Database, replica_id: UUID, ttl: timedelta) -> None:
        self._database = database
        self._replica_id = replica_id
        self._ttl = ttl

    async def renew(self, held: Collection[UUID]) -> Renewal:
        """Say that this replica lives, and prolong its leases with the attempts on them."""
        row = await self._database.fetchrow(_SQL.renew, self._replica_id, self._ttl, list(held))
        if row is None:
            raise LookupError("the renewal gave no answer")
        return Renewal(frozenset(row["kept"]), row["others"] + 1)

    async def free(self, runner_ids: Collection[UUID]) -> list[UUID]:
        """Those of the runners that nobody drives."""
        return [row["runner_id"] for row in await self._database.fetch(_SQL.free_runners, list(runner_ids))]

    async def take(self, runner_ids: Collection[UUID]) -> frozenset[UUID]:
        """Try to become the driver of free runners; returns those that were got."""
        rows = await self._database.fetch(_SQL.take_leases, self._replica_id, self._ttl, list(runner_ids))
        return frozenset(row["runner_id"] for row in rows)

    async def release(self, runner_ids: Collection[UUID]) -> None:
        """Let others drive the runners, and go on with what runs there, at once."""
        await self._database.execute(_SQL.release_leases, self._replica_id, list(runner_ids))

    async def forget(self) -> None:
        """This replica goes."""
        await self._database.execute(_SQL.forget_replica, self._replica_id)
