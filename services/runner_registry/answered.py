"""Repeated calls: the same request_id of the same caller repeats the answer, not the deed."""

from dataclasses import dataclass
from uuid import UUID

from libs.errors import AlreadyExists
from libs.sql import Connection
from services.runner_registry.store import SQL


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for what. An empty `request_id` is never remembered."""

    scope: str
    method: str
    request_id: str

    async def earlier(self, connection: Connection) -> UUID | None:
        """The id that the first call answered with, if there was one. Calls in flight wait for each other."""
        if not self.request_id:
            return None
        lock = f"{self.scope}/{self.method}/{self.request_id}"
        await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", lock)
        found: UUID | None = await connection.fetchval(SQL.answer_of, self.scope, self.method, self.request_id)
        return found

    async def refuse_repetition(self, connection: Connection) -> None:
        """For answers that hold a secret, which is shown once and not kept. Raises AlreadyExists."""
        if await self.earlier(connection) is not None:
            raise AlreadyExists("ALREADY_EXISTS", "this request_id was used; its secret cannot be shown again")

    async def remember(self, connection: Connection, answer_id: UUID) -> None:
        """In the same transaction as the deed."""
        if self.request_id:
            await connection.execute(SQL.insert_answer, self.scope, self.method, self.request_id, answer_id)
