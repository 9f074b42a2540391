"""Assets: records that an account owns over bytes that may be shared with others, who never learn of it."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from libs.blobs import BlobInfo, BlobStore
from libs.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from libs.sql import Connection, Database
from services.execution.domain import Asset, AssetWish
from services.execution.store import assets


class Incoming(Protocol):
    """An upload on its way in."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes; raises when the upload breaks a rule, and then nothing of it is kept."""
        ...

    @property
    def wish(self) -> AssetWish:
        """What the record is to say; known when the chunks are over."""
        ...


def no_asset() -> NotFound:
    """The error for an asset that does not exist, has expired or is somebody else's."""
    return NotFound("ASSET_NOT_FOUND", "there is no such asset")


def _no_blob() -> NotFound:
    return NotFound("BLOB_NOT_FOUND", "the account has no asset with these bytes")


class WriteAssets:
    """UploadAsset, CreateAssetFromHash and DeleteAsset."""

    def __init__(self, database: Database, blobs: BlobStore, retention: timedelta | None) -> None:
        """`retention` is for records whose caller does not say; None keeps them for ever."""
        self._database = database
        self._blobs = blobs
        self._retention = retention

    async def upload(self, account_id: UUID, incoming: Incoming) -> tuple[Asset, bool]:
        """The record, and whether the account did not have the bytes before."""
        stored = await self._blobs.put_stream(incoming.chunks())
        async with self._database.transaction() as connection:
            await self._hold(connection, stored)
            created_new = not await assets.account_has(connection, account_id, stored.hash)
            answer = await self._mint(connection, account_id, stored.hash, incoming.wish, created_new)
        return _same_bytes(answer, stored.hash)

    async def from_hash(self, account_id: UUID, digest: bytes, wish: AssetWish) -> tuple[Asset, bool]:
        """A record over bytes the account has; the flag is false when an equal one existed.

        Raises NotFound: BLOB_NOT_FOUND.
        """
        async with self._database.transaction() as connection:
            answer = await _earlier(connection, account_id, wish)
            if answer is None:
                answer = await self._over_known_bytes(connection, account_id, digest, wish)
        return _same_bytes(answer, digest)

    async def delete(self, account_id: UUID, asset_id: UUID) -> None:
        """Forget the record. Raises NotFound, FailedPrecondition: ASSET_IN_USE."""
        async with self._database.transaction() as connection:
            if not await assets.lock(connection, account_id, asset_id):
                raise no_asset()
            if await assets.in_use(connection, asset_id):
                raise FailedPrecondition("ASSET_IN_USE", "the asset is still needed")
            await assets.delete(connection, asset_id)

    async def _hold(self, connection: Connection, stored: BlobInfo) -> None:
        await assets.hold_blob(connection, stored.hash, stored.size)
        if await self._blobs.size(stored.hash) is None:
            # The same bytes, unused till now, were swept between their arrival and the lock.
            raise Unavailable("STORE_UNAVAILABLE", "the bytes did not stay; send them again", retry_after=0)

    async def _over_known_bytes(
        self, connection: Connection, account_id: UUID, digest: bytes, wish: AssetWish
    ) -> tuple[Asset, bool]:
        known = await assets.mintable(connection, account_id, digest)
        if known is None:
            raise _no_blob()
        equal = await assets.extend_equal(connection, account_id, digest, wish, self._keep(wish))
        if equal is not None:
            return await _found(connection, account_id, equal), False
        return await self._mint(connection, account_id, digest, wish.of_type(known[0]), True)

    async def _mint(
        self, connection: Connection, account_id: UUID, digest: bytes, wish: AssetWish, created_new: bool
    ) -> tuple[Asset, bool]:
        keep = self._keep(wish)
        made = await assets.insert(connection, account_id, digest, wish, keep, created_new)
        if made is not None:
            return await _found(connection, account_id, made), created_new
        earlier = await _earlier(connection, account_id, wish)
        if earlier is None:
            raise Unavailable("DATABASE_UNAVAILABLE", "the earlier answer is being deleted", retry_after=0)
        return earlier

    def _keep(self, wish: AssetWish) -> timedelta | None:
        return wish.keep or self._retention


class ReadAssets:
    """GetAsset, ListAssets, CheckBlob and DownloadAsset."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs

    async def get(self, account_id: UUID, asset_id: UUID) -> Asset:
        """The record. Raises NotFound: ASSET_NOT_FOUND."""
        async with self._database.connection() as connection:
            return await _found(connection, account_id, asset_id)

    async def page(
        self, account_id: UUID, after: tuple[datetime, UUID] | None, size: int
    ) -> tuple[Sequence[Asset], bool]:
        """Up to `size` records, and whether more follow."""
        async with self._database.connection() as connection:
            found = await assets.list_page(connection, account_id, after, size + 1)
        return found[:size], len(found) > size

    async def size_of(self, account_id: UUID, digest: bytes) -> int:
        """Size of bytes that the account could make a record over. Raises NotFound: BLOB_NOT_FOUND."""
        async with self._database.connection() as connection:
            known = await assets.mintable(connection, account_id, digest)
        if known is None:
            raise _no_blob()
        return known[1]

    def content(self, asset: Asset, offset: int, length: int) -> AsyncIterator[bytes]:
        """The bytes from `offset`, `length` of them or to the end for 0, in chunks of at most 256 KiB.

        Raises InvalidArgument: RANGE_INVALID when the range begins behind the end.
        """
        if offset and offset >= asset.size_bytes:
            message = f"the asset has {asset.size_bytes} bytes; the range begins at {offset}"
            raise InvalidArgument("RANGE_INVALID", message)
        left = asset.size_bytes - offset
        return self._blobs.open(asset.hash, offset, min(length, left) if length else left)


async def _found(connection: Connection, account_id: UUID, asset_id: UUID) -> Asset:
    asset = await assets.find(connection, account_id, asset_id)
    if asset is None:
        raise no_asset()
    return asset


async def _earlier(connection: Connection, account_id: UUID, wish: AssetWish) -> tuple[Asset, bool] | None:
    if wish.request_id is None:
        return None
    return await assets.find_by_request(connection, account_id, wish.request_id)


def _same_bytes(answer: tuple[Asset, bool], digest: bytes) -> tuple[Asset, bool]:
    """Refuse a request_id that was used for other bytes."""
    if answer[0].hash != digest:
        raise AlreadyExists("IDEMPOTENCY_KEY_REUSE", "this request_id was used for other bytes")
    return answer
