"""Assets and the bytes they stand for. What changes something belongs inside a transaction of the caller."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

from libs.sql import Connection, load_queries
from services.execution.domain import Asset, AssetWish

_SQL = load_queries("services.execution.store", "assets.sql")


async def hold_blob(connection: Connection, digest: bytes, size_bytes: int) -> None:
    """Note that the object store has these bytes, and keep them from the sweep until the transaction ends.

    Look whether the bytes are really there after this call: the sweep may have been quicker.
    """
    await connection.execute(_SQL.hold_blob, digest, size_bytes)


async def account_has(connection: Connection, account_id: UUID, digest: bytes) -> bool:
    """Whether the account has a record over these bytes."""
    return bool(await connection.fetchval(_SQL.account_has, digest, account_id))


async def insert(
    connection: Connection,
    account_id: UUID,
    digest: bytes,
    wish: AssetWish,
    keep: timedelta | None,
    created_new: bool,
) -> UUID | None:
    """Make a record; None when the account used the request_id before."""
    made: UUID | None = await connection.fetchval(
        _SQL.insert_asset,
        uuid4(),
        account_id,
        digest,
        wish.content_type,
        wish.file_path,
        wish.tags,
        keep,
        wish.request_id,
        created_new,
    )
    return made


async def find(connection: Connection, account_id: UUID, asset_id: UUID) -> Asset | None:
    """The account's record, unless it has expired."""
    row = await connection.fetchrow(_SQL.find_asset, asset_id, account_id)
    return read_asset(row) if row else None


async def find_by_request(connection: Connection, account_id: UUID, request_id: str) -> tuple[Asset, bool] | None:
    """The record that an earlier call with this id made, and whether its bytes were new to the account."""
    row = await connection.fetchrow(_SQL.find_asset_by_request, account_id, request_id)
    return (read_asset(row), row["created_new"]) if row else None


async def mintable(connection: Connection, account_id: UUID, digest: bytes) -> tuple[str, int] | None:
    """Media type and size of bytes that the account may make a record over."""
    row = await connection.fetchrow(_SQL.mintable, digest, account_id)
    return (row["content_type"], row["size_bytes"]) if row else None


async def extend_equal(
    connection: Connection, account_id: UUID, digest: bytes, wish: AssetWish, keep: timedelta | None
) -> UUID | None:
    """The account's equal record, kept longer from now on; None when there is none."""
    found: UUID | None = await connection.fetchval(
        _SQL.extend_equal, digest, account_id, wish.file_path, wish.tags, keep
    )
    return found


async def list_page(
    connection: Connection, account_id: UUID, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Asset]:
    """The account's records, newest first, from behind `after`."""
    time, asset_id = after or (None, None)
    return [read_asset(row) for row in await connection.fetch(_SQL.list_assets, account_id, time, asset_id, limit)]


async def lock(connection: Connection, account_id: UUID, asset_id: UUID) -> bool:
    """Hold the record until the transaction ends; false when there is no such record."""
    return await connection.fetchval(_SQL.lock_asset, asset_id, account_id) is not None


async def in_use(connection: Connection, asset_id: UUID) -> bool:
    """Whether an open job reads the asset or made it."""
    return bool(await connection.fetchval(_SQL.asset_in_use, asset_id))


async def delete(connection: Connection, asset_id: UUID) -> None:
    """Forget a locked record."""
    await connection.execute(_SQL.delete_asset, asset_id)


async def forget_expired(connection: Connection, limit: int) -> None:
    """Delete expired records that no open job reads."""
    await connection.execute(_SQL.forget_expired, limit)


async def orphan_candidates(connection: Connection, grace: timedelta, limit: int) -> Sequence[bytes]:
    """Digests of bytes that no record stands for and nobody stored lately."""
    return [row["hash"] for row in await connection.fetch(_SQL.orphan_candidates, grace, limit)]


async def release_orphan(connection: Connection, digest: bytes) -> bool:
    """Forget bytes that nothing refers to; true when the caller is to delete them before it commits.

    Two statements: only what was committed before the lock was taken counts.
    """
    if await connection.fetchval(_SQL.lock_blob, digest) is None:
        return False
    if await connection.fetchval(_SQL.blob_referenced, digest):
        return False
    await connection.execute(_SQL.delete_blob, digest)
    return True


def read_asset(row: asyncpg.Record) -> Asset:
    """A row of `asset` joined with its blob."""
    return Asset(
        asset_id=row["asset_id"],
        account_id=row["account_id"],
        hash=row["hash"],
        size_bytes=row["size_bytes"],
        content_type=row["content_type"],
        file_path=row["file_path"],
        tags=tuple(row["tags"]),
        create_time=row["create_time"],
        expire_time=row["expire_time"],
        job_id=row["job_id"],
        node_id=row["node_id"],
    )
