"""Which node classes each runner has, as seen by whichever replica drives it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.sql import Database, load_queries

_SQL = load_queries("services.execution.store", "catalogues.sql")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a runner at an endpoint can do."""

    runner_id: UUID
    endpoint: str
    version: str
    node_classes: frozenset[str]


class CatalogueStore:
    """The catalogues that all replicas share. Raises Unavailable while the database is away."""

    def __init__(self, database: Database, replica_id: UUID) -> None:
        self._database = database
        self._replica_id = replica_id

    async def store(self, catalogue: Catalogue) -> None:
        """Replace a runner's catalogue, unless somebody else drives the runner by now."""
        await self._database.execute(
            _SQL.store_catalogue,
            catalogue.runner_id,
            catalogue.endpoint,
            catalogue.version,
            sorted(catalogue.node_classes),
            self._replica_id,
        )

    async def changed_since(self, moment: datetime | None) -> tuple[Collection[Catalogue], datetime | None]:
        """The catalogues that were read after a moment of the database's clock, and the newest such moment."""
        rows = await self._database.fetch(_SQL.catalogues, moment)
        newest = max((row["refresh_time"] for row in rows), default=moment)
        found = [
            Catalogue(row["runner_id"], row["endpoint"], row["version"], frozenset(row["node_classes"])) for row in rows
        ]
        return found, newest
