"""A pool of connections whose search path is the service's own schema."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from libs.errors import Unavailable

if TYPE_CHECKING:
    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:  # generic in its stubs alone
    Connection = PoolConnectionProxy

# What asyncpg raises when the server is away, restarting, or cut the connection.
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
)


class Database:
    """The service's own tables. Every method raises Unavailable while the server is away and recovers by itself."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", schema: str) -> None:
        self._pool = pool
        self.schema = schema

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        dsn: str,
        schema: str,
        *,
        min_size: int = 1,
        max_size: int = 10,
        statement_timeout: float = 30,
    ) -> AsyncIterator["Database"]:
        """Open the pool, make the schema if it is missing, close on leaving. `statement_timeout` in seconds."""
        await _make_schema(dsn, schema)
        pool = await asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            command_timeout=statement_timeout,
            init=_prepare,
            connection_class=_PooledConnection,
            server_settings={"search_path": schema, "application_name": f"comfyfleet-{schema}"},
        )
        try:
            yield cls(pool, schema)
        finally:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection outside of any transaction."""
        try:
            async with self._pool.acquire(timeout=10) as connection:
                yield connection
        except _AWAY as error:
            raise Unavailable("DATABASE_UNAVAILABLE", "the database does not answer", retry_after=1) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction: committed on leaving, rolled back when anything is raised."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, query: str, *values: Any) -> Sequence[asyncpg.Record]:
        """All rows of one statement."""
        async with self.connection() as connection:
            return await connection.fetch(query, *values)

    async def fetchrow(self, query: str, *values: Any) -> asyncpg.Record | None:
        """The first row of one statement."""
        async with self.connection() as connection:
            return await connection.fetchrow(query, *values)

    async def fetchval(self, query: str, *values: Any) -> Any:
        """The first column of the first row."""
        async with self.connection() as connection:
            return await connection.fetchval(query, *values)

    async def execute(self, query: str, *values: Any) -> str:
        """Run one statement; returns the server's command tag."""
        async with self.connection() as connection:
            return await connection.execute(query, *values)

    async def check(self) -> None:
        """Raise Unavailable unless the server answers."""
        await self.fetchval("select 1")


if TYPE_CHECKING:
    _AnyConnection = asyncpg.Connection[asyncpg.Record]
else:
    _AnyConnection = asyncpg.Connection


class _PooledConnection(_AnyConnection):
    """Goes back to the pool without the usual round trip: nothing here leaves session state behind."""

    def get_reset_query(self) -> str:
        """Nothing to undo."""
        return ""


async def _make_schema(dsn: str, schema: str) -> None:
    try:
        connection = await asyncpg.connect(dsn, timeout=10)
    except _AWAY as error:
        raise Unavailable("DATABASE_UNAVAILABLE", "the database does not answer") from error
    try:
        # Two replicas that start at once would both find it missing.
        await connection.execute("select pg_advisory_lock(hashtext($1)::bigint)", schema)
        await connection.execute(f'create schema if not exists "{schema}"')
    finally:
        await connection.close()


async def _prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec("jsonb", encoder=_encode, decoder=orjson.loads, schema="pg_catalog", format="text")


def _encode(value: Any) -> str:
    return orjson.dumps(value).decode()
