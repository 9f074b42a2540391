"""AssetService over gRPC: convert, call the use case, convert."""

from collections.abc import AsyncIterator
from typing import Any

from blake3 import blake3

from comfyfleet.execution.v1 import asset_service_pb2 as pb
from comfyfleet.execution.v1.asset_service_pb2_grpc import AssetServiceServicer
from libs.errors import Conflict, Exhausted, InvalidArgument
from libs.paging import page_size
from libs.rpc.context import current_principal
from services.execution import convert
from services.execution.domain import AssetWish
from services.execution.usecases_assets import ReadAssets, WriteAssets


class Upload:
    """The messages of UploadAsset: what they say and the bytes they carry."""

    def __init__(self, messages: AsyncIterator[pb.UploadAssetRequest], max_bytes: int) -> None:
        self._messages = messages
        self._max_bytes = max_bytes
        self._metadata: pb.UploadMetadata | None = None
        self._size = 0
        self._hasher = blake3()

    @property
    def wish(self) -> AssetWish:
        """What the record is to say. Raises InvalidArgument while nothing was said."""
        metadata = self._told()
        return convert.asset_wish(metadata, metadata.content_type)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come; judged as a whole before the last of them counts."""
        async for message in self._messages:
            if message.HasField("metadata"):
                self._tell(message.metadata)
            elif message.chunk:
                self._measure(message.chunk)
                yield message.chunk
        self._judge()

    def _tell(self, metadata: pb.UploadMetadata) -> None:
        if self._metadata is not None:
            raise _invalid("metadata came twice")
        self._metadata = metadata

    def _told(self) -> pb.UploadMetadata:
        if self._metadata is None:
            raise _invalid("metadata never came")
        return self._metadata

    def _measure(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._max_bytes:
            message = f"the upload is larger than {self._max_bytes} bytes"
            raise Exhausted("ASSET_TOO_LARGE", message)
        if self._metadata is None or self._metadata.expected_hash:
            self._hasher.update(chunk)

    def _judge(self) -> None:
        expected = self._told().expected_hash
        if expected and convert.digest(expected) != self._hasher.digest():
            raise Conflict("HASH_MISMATCH", "the bytes received do not have the hash that was declared")
        _ = self.wish  # what it says must be storable before the bytes are kept


def _invalid(message: str) -> InvalidArgument:
    return InvalidArgument("INVALID_FIELD", message, fields={"metadata": "must come exactly once"})


class AssetServer(AssetServiceServicer):
    """Uploads, downloads and records."""

    def __init__(self, writing: WriteAssets, reading: ReadAssets, max_upload_bytes: int) -> None:
        self._writing = writing
        self._reading = reading
        self._max_upload_bytes = max_upload_bytes

    async def UploadAsset(
        self, request_iterator: AsyncIterator[pb.UploadAssetRequest], context: Any
    ) -> pb.UploadAssetResponse:
        """Store bytes."""
        account_id = convert.creating_account(current_principal())
        upload = Upload(request_iterator, self._max_upload_bytes)
        asset, created_new = await self._writing.upload(account_id, upload)
        return pb.UploadAssetResponse(asset=convert.asset(asset), created_new=created_new)

    async def CreateAssetFromHash(
        self, request: pb.CreateAssetFromHashRequest, context: Any
    ) -> pb.CreateAssetFromHashResponse:
        """Make a record over bytes that the account has."""
        account_id = convert.creating_account(current_principal())
        wish = convert.asset_wish(request)
        asset, created_new = await self._writing.from_hash(account_id, convert.digest(request.hash), wish)
        return pb.CreateAssetFromHashResponse(asset=convert.asset(asset), created_new=created_new)

    async def CheckBlob(self, request: pb.CheckBlobRequest, context: Any) -> pb.CheckBlobResponse:
        """Whether the account could make a record over these bytes."""
        account_id = convert.account_of(current_principal())
        size = await self._reading.size_of(account_id, convert.digest(request.hash))
        return pb.CheckBlobResponse(size_bytes=size)

    async def GetAsset(self, request: pb.GetAssetRequest, context: Any) -> pb.GetAssetResponse:
        """One record."""
        account_id = convert.account_of(current_principal())
        asset = await self._reading.get(account_id, convert.uuid(request.asset_id))
        return pb.GetAssetResponse(asset=convert.asset(asset))

    async def ListAssets(self, request: pb.ListAssetsRequest, context: Any) -> pb.ListAssetsResponse:
        """The account's records, newest first."""
        account_id = convert.account_of(current_principal())
        start = convert.page_start(request.page_token)
        size = page_size(request.page_size, most=convert.MAX_PAGE_SIZE)
        page, more = await self._reading.page(account_id, start, size)
        token = convert.page_token(page[-1].create_time, page[-1].asset_id) if more else ""
        return pb.ListAssetsResponse(assets=map(convert.asset, page), next_page_token=token)

    async def DeleteAsset(self, request: pb.DeleteAssetRequest, context: Any) -> pb.DeleteAssetResponse:
        """Forget a record."""
        account_id = convert.account_of(current_principal())
        await self._writing.delete(account_id, convert.uuid(request.asset_id))
        return pb.DeleteAssetResponse()

    async def DownloadAsset(
        self, request: pb.DownloadAssetRequest, context: Any
    ) -> AsyncIterator[pb.DownloadAssetResponse]:
        """The record, then its bytes or a range of them."""
        account_id = convert.account_of(current_principal())
        asset = await self._reading.get(account_id, convert.uuid(request.asset_id))
        content = self._reading.content(asset, request.offset, request.length)
        yield pb.DownloadAssetResponse(asset=convert.asset(asset))
        async for chunk in content:
            yield pb.DownloadAssetResponse(chunk=chunk)
