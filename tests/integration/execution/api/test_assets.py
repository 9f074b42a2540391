"""AssetService over real gRPC: bytes in, bytes out, and who may know of them."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from blake3 import blake3
from google.protobuf.duration_pb2 import Duration

from comfyfleet.execution.v1 import asset_service_pb2 as pb
from libs.errors import AlreadyExists, Conflict, Exhausted, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from libs.testing import eventually
from tests.support.execution import Replicas, Tenant, asset_input, graph, upload_messages
from tests.support.execution_rows import Rows


def hash_of(data: bytes) -> str:
    """The hash as the wire writes it."""
    return f"blake3:{blake3(data).hexdigest()}"


def files(folder: Path) -> list[Path]:
    """Every file of the object store."""
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_what_goes_in_comes_out(ann: Tenant) -> None:
    data = os.urandom(3_000_000)
    answer = await ann.upload(data, file_path="in/photo.png", tags=["input"], expected_hash=hash_of(data))
    assert answer.created_new
    record, content = await ann.download(answer.asset.asset_id)
    assert content == data
    assert record == answer.asset
    assert (record.hash, record.size_bytes, record.file_path) == (hash_of(data), len(data), "in/photo.png")


@pytest.mark.parametrize(
    ("offset", "length", "wanted"),
    [(0, 4, b"0123"), (6, 0, b"6789"), (8, 100, b"89"), (9, 1, b"9"), (0, 0, b"0123456789")],
)
async def test_ranges(ann: Tenant, offset: int, length: int, wanted: bytes) -> None:
    asset = (await ann.upload(b"0123456789")).asset
    assert (await ann.download(asset.asset_id, offset=offset, length=length))[1] == wanted


async def test_a_range_behind_the_end_is_refused(ann: Tenant) -> None:
    asset = (await ann.upload(b"0123456789")).asset
    with pytest.raises(InvalidArgument) as refused:
        await ann.download(asset.asset_id, offset=10)
    assert refused.value.reason == "RANGE_INVALID"


async def test_an_empty_file_is_a_file(ann: Tenant) -> None:
    asset = (await ann.upload(b"")).asset
    assert (await ann.download(asset.asset_id))[1] == b""


async def test_metadata_may_come_last_but_must_come_once(ann: Tenant) -> None:
    told = pb.UploadAssetRequest(metadata=pb.UploadMetadata(content_type="a/b", expected_hash=hash_of(b"abc")))
    bytes_first = [pb.UploadAssetRequest(chunk=b"abc"), told]
    assert (await ann.assets.UploadAsset(iterated(bytes_first))).asset.size_bytes == 3
    for messages in ([pb.UploadAssetRequest(chunk=b"abc")], [told, told]):
        with pytest.raises(InvalidArgument):
            await ann.assets.UploadAsset(iterated(messages))


async def test_a_wrong_hash_leaves_nothing(ann: Tenant, tmp_path: Path) -> None:
    with pytest.raises(Conflict) as refused:
        await ann.upload(b"abc", expected_hash=hash_of(b"other"))
    assert refused.value.reason == "HASH_MISMATCH"
    assert files(tmp_path) == []


async def test_too_large_an_upload_leaves_nothing(place: Replicas, tmp_path: Path) -> None:
    ann = await place.tenant(await place.start(upload_max_bytes=1000))
    with pytest.raises(Exhausted) as refused:
        await ann.upload(b"x" * 1001)
    assert refused.value.reason == "ASSET_TOO_LARGE"
    assert files(tmp_path) == []


async def test_a_client_that_goes_away_leaves_nothing(ann: Tenant, tmp_path: Path) -> None:
    sent = asyncio.Event()

    async def never_ends() -> AsyncIterator[pb.UploadAssetRequest]:
        async for message in upload_messages(b"x" * (20 << 20), content_type="a/b", chunk=1 << 20):
            yield message
        sent.set()
        await asyncio.Event().wait()

    upload = asyncio.ensure_future(ann.assets.UploadAsset(never_ends()))
    await sent.wait()
    await eventually(lambda: files(tmp_path))
    upload.cancel()
    await eventually(lambda: files(tmp_path) == [])
    assert (await ann.assets.ListAssets(pb.ListAssetsRequest())).assets == []


async def test_only_an_account_learns_that_it_has_the_bytes(ann: Tenant, bob: Tenant) -> None:
    first, second = await ann.upload(b"same"), await ann.upload(b"same")
    assert (first.created_new, second.created_new) == (True, False)
    assert first.asset.asset_id != second.asset.asset_id
    with pytest.raises(NotFound) as missing:
        await bob.assets.CheckBlob(pb.CheckBlobRequest(hash=first.asset.hash))
    assert missing.value.reason == "BLOB_NOT_FOUND"
    with pytest.raises(NotFound):
        await bob.assets.CreateAssetFromHash(pb.CreateAssetFromHashRequest(hash=first.asset.hash))
    assert (await bob.upload(b"same")).created_new
    assert (await bob.assets.CheckBlob(pb.CheckBlobRequest(hash=first.asset.hash))).size_bytes == 4


async def test_concurrent_uploads_of_new_bytes_are_new_once(ann: Tenant) -> None:
    answers = await asyncio.gather(*(ann.upload(b"same") for _ in range(8)))
    assert sum(answer.created_new for answer in answers) == 1


async def test_a_request_id_gives_the_first_answer_again(ann: Tenant) -> None:
    first = await ann.upload(b"same", request_id="key")
    assert await ann.upload(b"same", request_id="key") == first
    with pytest.raises(AlreadyExists) as refused:
        await ann.upload(b"other", request_id="key")
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSE"


async def test_a_record_from_a_hash(ann: Tenant) -> None:
    source = (await ann.upload(b"bytes", file_path="a.png")).asset
    request = pb.CreateAssetFromHashRequest(hash=source.hash, file_path="b.png")
    made = await ann.assets.CreateAssetFromHash(request)
    assert made.created_new
    assert (made.asset.content_type, made.asset.size_bytes) == (source.content_type, 5)
    again = await ann.assets.CreateAssetFromHash(request)
    assert (again.created_new, again.asset.asset_id) == (False, made.asset.asset_id)


async def test_asking_again_keeps_longer_never_shorter(ann: Tenant) -> None:
    source = (await ann.upload(b"bytes", expires_in=Duration(seconds=1000))).asset
    ask = pb.CreateAssetFromHashRequest(hash=source.hash, expires_in=Duration(seconds=100))
    same = (await ann.assets.CreateAssetFromHash(ask)).asset
    assert (same.asset_id, same.expire_time) == (source.asset_id, source.expire_time)
    ask.expires_in.seconds = 2000
    longer = (await ann.assets.CreateAssetFromHash(ask)).asset
    assert longer.expire_time.seconds > source.expire_time.seconds


async def test_lists_are_newest_first_in_pages(ann: Tenant) -> None:
    made = [(await ann.upload(bytes([n]))).asset.asset_id for n in range(5)]
    page = await ann.assets.ListAssets(pb.ListAssetsRequest(page_size=3))
    rest = await ann.assets.ListAssets(pb.ListAssetsRequest(page_size=3, page_token=page.next_page_token))
    assert [asset.asset_id for asset in [*page.assets, *rest.assets]] == made[::-1]
    assert not rest.next_page_token


async def test_an_asset_that_an_open_job_reads_stays(ann: Tenant) -> None:
    asset = (await ann.upload(b"bytes")).asset
    job = await ann.submit(graph(image=asset_input(asset.asset_id)))
    request = pb.DeleteAssetRequest(asset_id=asset.asset_id)
    with pytest.raises(FailedPrecondition) as refused:
        await ann.assets.DeleteAsset(request)
    assert refused.value.reason == "ASSET_IN_USE"
    await ann.cancel(job.job_id)
    await ann.assets.DeleteAsset(request)
    with pytest.raises(NotFound):
        await ann.assets.DeleteAsset(request)


async def test_the_result_of_an_open_job_stays(ann: Tenant, rows: Rows) -> None:
    asset, job = (await ann.upload(b"bytes")).asset, await ann.submit()
    statement = "update asset set job_id = $1, node_id = '9', name = 'a.png', kind = 'image', attempt = 1"
    await rows.execute(statement, job.job_id)
    with pytest.raises(FailedPrecondition):
        await ann.assets.DeleteAsset(pb.DeleteAssetRequest(asset_id=asset.asset_id))


async def test_an_expired_asset_reads_as_not_found_and_its_bytes_go(ann: Tenant, rows: Rows, tmp_path: Path) -> None:
    gone, kept = (await ann.upload(b"gone")).asset, (await ann.upload(b"kept")).asset
    job_reads = (await ann.upload(b"read")).asset
    await ann.submit(graph(image=asset_input(job_reads.asset_id)))
    statement = "update asset set expire_time = now() - interval '1 second' where asset_id <> $1"
    await rows.execute(statement, kept.asset_id)
    for call in (
        ann.assets.GetAsset(pb.GetAssetRequest(asset_id=gone.asset_id)),
        ann.download(gone.asset_id),
        ann.assets.CheckBlob(pb.CheckBlobRequest(hash=gone.hash)),
        ann.submit(graph(image=asset_input(gone.asset_id))),
    ):
        with pytest.raises((NotFound, InvalidArgument)):
            await call
    await rows.sweep()
    assert len(files(tmp_path)) == 2
    assert (await ann.download(kept.asset_id))[1] == b"kept"


async def test_uploads_race_the_sweep_and_no_record_loses_its_bytes(ann: Tenant, rows: Rows) -> None:
    async def uploaded(request_id: str) -> pb.UploadAssetResponse:
        while True:
            # The sweep may take old bytes just before the lock; then the caller is told to send them again.
            with suppress(Unavailable):
                return await ann.upload(b"contended", request_id=request_id)

    async def one_round(number: int) -> None:
        asset = (await uploaded(f"round {number}")).asset
        assert (await ann.download(asset.asset_id))[1] == b"contended"
        await ann.assets.DeleteAsset(pb.DeleteAssetRequest(asset_id=asset.asset_id))

    async def rounds() -> None:
        for number in range(20):
            await one_round(number)

    uploading = asyncio.create_task(rounds())
    while not uploading.done():
        await rows.sweep()
    await uploading


async def iterated(messages: list[pb.UploadAssetRequest]) -> AsyncIterator[pb.UploadAssetRequest]:
    """The messages as a stream."""
    for message in messages:
        yield message
