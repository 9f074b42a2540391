"""Bytes under their own hash."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.blobs import BlobStore
from libs.errors import NotFound, Unavailable


async def pieces(data: bytes, size: int, *, fail: bool = False) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
    if fail:
        raise ConnectionError("the client is gone")


async def read(store: BlobStore, digest: bytes, offset: int = 0, length: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.open(digest, offset, length)])


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore.open_url(tmp_path.as_uri())


async def test_what_goes_in_comes_out_whole_and_in_parts(store: BlobStore) -> None:
    data = bytes(range(256)) * 4096
    info = await store.put_stream(pieces(data, 10_000))
    assert (info.hash, info.size) == (blake3(data).digest(), len(data))
    assert await read(store, info.hash) == data
    assert await read(store, info.hash, 100, 50) == data[100:150]
    assert await read(store, info.hash, len(data) - 3) == data[-3:]
    assert await store.size(info.hash) == len(data)


@settings(max_examples=20, deadline=None)
@given(data=st.binary(max_size=2000), size=st.integers(1, 700))
async def test_slicing_changes_nothing(tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int) -> None:
    store = BlobStore.open_url(tmp_path_factory.mktemp("blobs").as_uri())
    info = await store.put_stream(pieces(data, size))
    assert info == await store.put(data)
    assert await read(store, info.hash) == data


async def test_nothing_is_kept_of_what_breaks_off(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        await store.put_stream(pieces(b"x" * 100_000, 1000, fail=True))
    assert not files_below(tmp_path)


async def test_what_is_not_there_is_not_found(store: BlobStore) -> None:
    with pytest.raises(NotFound):
        await read(store, bytes(32))
    assert await store.size(bytes(32)) is None
    await store.delete(bytes(32))


async def test_a_store_that_cannot_write_is_unavailable(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "incoming").write_text("a file where a folder has to be")
    with pytest.raises(Unavailable) as caught:
        await store.put_stream(pieces(b"data", 2))
    assert caught.value.reason == "STORE_UNAVAILABLE"
