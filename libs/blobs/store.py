"""A content-addressed store over obstore: local directory, S3, GCS or Azure, by URL."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import obstore
from blake3 import blake3
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from libs.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from obstore import GetOptions

_CHUNK = 256 * 1024
_PART = 8 << 20  # bytes buffered before a part is written; S3 wants at least 5 MiB


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What was stored: blake3 digest (32 bytes) and size in bytes."""

    hash: bytes
    size: int


class BlobStore:
    """Keeps each content once, under `blake3/ab/cd/<hex>`.

    Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer or is full, NotFound for unknown content.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def open_url(cls, url: str) -> "BlobStore":
        """`file:///path` (made if missing), `s3://bucket/prefix`, `gs://…`, `az://…`, as obstore reads them."""
        parts = urlsplit(url)
        if parts.scheme == "file":
            path = Path(unquote(parts.path))
            path.mkdir(parents=True, exist_ok=True)
            return cls(LocalStore(path, automatic_cleanup=False))
        return cls(from_url(url))

    async def put_stream(self, chunks: AsyncIterator[bytes]) -> BlobInfo:
        """Store what comes, hashing on the way; nothing is kept when the iterator raises. Memory stays flat."""
        temporary = f"incoming/{uuid4()}"
        hashed = _Hashed(chunks)
        try:
            with _translated():
                await obstore.put_async(self._store, temporary, hashed.pieces(), chunk_size=_PART, max_concurrency=2)
                await obstore.rename_async(self._store, temporary, _key(hashed.info.hash), overwrite=True)
        except BaseException:
            await self._discard(temporary)
            if hashed.failure is not None:
                # What the source raised is the source's: it says nothing of the store.
                raise hashed.failure from None
            raise
        return hashed.info

    async def put(self, data: bytes) -> BlobInfo:
        """Store bytes that are in memory anyway."""
        info = BlobInfo(blake3(data).digest(), len(data))
        with _translated():
            await obstore.put_async(self._store, _key(info.hash), data)
        return info

    async def open(self, digest: bytes, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The content or a part of it, in chunks. Raises NotFound when it is not here."""
        if length == 0:
            return
        options: GetOptions = {"range": {"offset": offset} if length is None else (offset, offset + length)}
        whole = offset == 0 and length is None
        with _translated():
            result = await obstore.get_async(self._store, _key(digest), options=None if whole else options)
            async for part in result.stream(min_chunk_size=_CHUNK):
                yield bytes(part)

    async def size(self, digest: bytes) -> int | None:
        """Bytes of the content; None when it is not here."""
        with _translated():
            try:
                return (await obstore.head_async(self._store, _key(digest)))["size"]
            except FileNotFoundError:
                return None

    async def delete(self, digest: bytes) -> None:
        """Forget the content; deleting what is not here is no error."""
        with _translated(), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, _key(digest))

    async def check(self) -> None:
        """Raise Unavailable unless the store answers."""
        await self.size(bytes(32))

    async def _discard(self, path: str) -> None:
        with suppress(FileNotFoundError, BaseError):
            await obstore.delete_async(self._store, path)


class _Hashed:
    """Passes chunks on and remembers their hash and size."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._hasher = blake3()
        self._size = 0
        self.failure: Exception | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The same chunks."""
        try:
            async for chunk in self._chunks:
                self._hasher.update(chunk)
                self._size += len(chunk)
                yield chunk
        except Exception as failure:
            self.failure = failure
            raise

    @property
    def info(self) -> BlobInfo:
        """Hash and size of what passed."""
        return BlobInfo(self._hasher.digest(), self._size)


def _key(digest: bytes) -> str:
    name = digest.hex()
    return f"blake3/{name[:2]}/{name[2:4]}/{name}"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("BLOB_NOT_FOUND", "the object store does not have these bytes") from error
    except (BaseError, OSError) as error:
        raise Unavailable("STORE_UNAVAILABLE", "the object store does not answer", retry_after=5) from error
