"""Use cases of runners."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg

from libs.errors import Exhausted, NotFound
from libs.identity import Principal
from libs.sql import Connection, Database
from services.runner_registry import access, domain
from services.runner_registry.answered import Asked
from services.runner_registry.paging import Cursor
from services.runner_registry.sealing import Seal
from services.runner_registry.store import SQL

Changed = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NewRunner:
    """What a caller says of a runner, not checked yet."""

    name: str
    endpoint: str
    headers: Mapping[str, str]
    tags: Sequence[str]
    runner_type: str = "own"


@dataclass(frozen=True, slots=True)
class RunnerChange:
    """What is to change; None leaves it."""

    name: str | None = None
    endpoint: str | None = None
    headers: Mapping[str, str] | None = None
    tags: Sequence[str] | None = None
    state: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to change."""
        return self == RunnerChange()


@dataclass(frozen=True, slots=True)
class Listing:
    """One page and one row more, and how many there are on all pages."""

    rows: Sequence[asyncpg.Record]
    total: int


class Runners:
    """Everything about which ComfyUI servers there are. `changed` is called after each commit."""

    def __init__(self, database: Database, seal: Seal, limits: Mapping[str, int], changed: Changed) -> None:
        self._database = database
        self._seal = seal
        self._limits = limits
        self._changed = changed

    async def create(self, asked: Asked, account_id: UUID, wanted: NewRunner) -> asyncpg.Record:
        """Register a runner of an account. Raises Exhausted (TIER_LIMIT)."""
        async with self._database.transaction() as connection:
            if (earlier := await asked.earlier(connection)) is not None:
                return _found(await connection.fetchrow(SQL.get_runner, earlier))
            await self._check_limit(connection, account_id)
            row = await self._insert(connection, account_id, wanted)
            await asked.remember(connection, row["runner_id"])
        await self._changed()
        return row

    async def create_managed(self, asked: Asked, wanted: NewRunner) -> asyncpg.Record:
        """Register a runner that accounts share."""
        async with self._database.transaction() as connection:
            if (earlier := await asked.earlier(connection)) is not None:
                return _found(await connection.fetchrow(SQL.get_runner, earlier))
            row = await self._insert(connection, None, wanted)
            await asked.remember(connection, row["runner_id"])
        await self._changed()
        return row

    async def get(self, runner_id: UUID, principal: Principal) -> asyncpg.Record:
        """One runner that the caller may see. Raises NotFound."""
        row = _found(await self._database.fetchrow(SQL.get_runner, runner_id))
        return _visible(row, principal)

    async def page(self, account_id: UUID, state: str | None, skip: int, cursor: Cursor) -> Listing:
        """Runners of an account."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(SQL.list_runners, account_id, state, *cursor.position, skip, cursor.limit)
            total = await connection.fetchval(SQL.count_listed_runners, account_id, state)
        return Listing(rows, total)

    async def managed_page(self, principal: Principal, skip: int, cursor: Cursor) -> Listing:
        """Managed runners of the caller's tier, all of them for operators."""
        types = managed_types(principal)
        only_active = not principal.is_operator
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                SQL.list_managed_runners, types, only_active, *cursor.position, skip, cursor.limit
            )
            total = await connection.fetchval(SQL.count_managed_runners, types, only_active)
        return Listing(rows, total)

    async def update(self, runner_id: UUID, change: RunnerChange, principal: Principal) -> asyncpg.Record:
        """Change a runner that the caller owns. Raises NotFound."""
        async with self._database.transaction() as connection:
            row = _visible(_found(await connection.fetchrow(SQL.lock_runner, runner_id)), principal)
            if change.is_empty:
                return row
            values = self._checked(change)
            revision = await connection.fetchval(SQL.next_revision)
            row = _found(await connection.fetchrow(SQL.update_runner, runner_id, *values, revision))
        await self._changed()
        return row

    async def delete(self, runner_id: UUID, principal: Principal) -> None:
        """Remove a runner that the caller owns. Raises NotFound."""
        async with self._database.transaction() as connection:
            _visible(_found(await connection.fetchrow(SQL.lock_runner, runner_id)), principal)
            revision = await connection.fetchval(SQL.next_revision)
            await connection.execute(SQL.delete_runner, runner_id, revision)
        await self._changed()

    async def changed_after(self, revision: int, principal: Principal) -> Sequence[asyncpg.Record]:
        """What the caller may see of everything that changed after a revision, in order; tombstones included."""
        everything = principal.is_operator or principal.is_service
        owner = None if everything else access.account_for(principal)
        return await self._database.fetch(SQL.runners_after, revision, owner, managed_types(principal))

    def headers_of(self, row: asyncpg.Record) -> dict[str, str]:
        """The headers in clear."""
        return self._seal.open(row["headers"])

    async def _check_limit(self, connection: Connection, account_id: UUID) -> None:
        account = await connection.fetchrow(SQL.lock_account, account_id)
        if account is None:
            raise NotFound("ACCOUNT_NOT_FOUND", "no such account")
        limit = self._limits[account["tier"]]
        if limit and await connection.fetchval(SQL.count_runners, account_id) >= limit:
            raise Exhausted("TIER_LIMIT", "Runner limit exceeded for your tier")

    async def _insert(self, connection: Connection, account_id: UUID | None, wanted: NewRunner) -> asyncpg.Record:
        name, endpoint = domain.clean_name(wanted.name), domain.clean_endpoint(wanted.endpoint)
        headers = self._seal.close(domain.clean_headers(wanted.headers))
        tags = domain.clean_tags(wanted.tags)
        revision = await connection.fetchval(SQL.next_revision)
        row = await connection.fetchrow(
            SQL.insert_runner, uuid4(), account_id, name, endpoint, headers, tags, wanted.runner_type, revision
        )
        return _found(row)

    def _checked(
        self, change: RunnerChange
    ) -> tuple[str | None, str | None, bytes | None, list[str] | None, str | None]:
        return (
            None if change.name is None else domain.clean_name(change.name),
            None if change.endpoint is None else domain.clean_endpoint(change.endpoint),
            None if change.headers is None else self._seal.close(domain.clean_headers(change.headers)),
            None if change.tags is None else domain.clean_tags(change.tags),
            change.state,
        )


def managed_types(principal: Principal) -> list[str]:
    """Which types of managed runner exist for the caller."""
    if principal.is_operator or principal.is_service:
        return ["pro", "plus"]
    return list(domain.MANAGED_TYPES_OF_TIER.get(principal.tier, ()))


def _visible(row: asyncpg.Record, principal: Principal) -> asyncpg.Record:
    if access.may_see_account(principal, row["account_id"]):
        return row
    raise NotFound("RUNNER_NOT_FOUND", "no such runner")


def _found(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound("RUNNER_NOT_FOUND", "no such runner")
    return row
