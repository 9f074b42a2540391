"""`/api/v2/assets`: upload, mint from a hash, read, download, delete."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from google.protobuf.duration_pb2 import Duration
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from comfyfleet.execution.v1.asset_pb2 import Asset
from comfyfleet.execution.v1.asset_service_pb2 import (
    CheckBlobRequest,
    CreateAssetFromHashRequest,
    DeleteAssetRequest,
    DownloadAssetRequest,
    GetAssetRequest,
    UploadAssetRequest,
    UploadAssetResponse,
    UploadMetadata,
)
from gateway import ranges
from gateway.auth import Session
from gateway.backends import Backends
from gateway.multipart import Form, FormLimits, FormReader, boundary_of
from gateway.routes.comfy_v2.base import ComfyV2Routes, field_error, json_response, resource_id
from gateway.routes.comfy_v2.jobs import idempotency_key
from libs.errors import NotFound, ServiceError
from libs.rpc.client import stream

CHUNK = 256 * 1024  # bytes in one message to the service
MIN_EXPIRES, MAX_EXPIRES = 60, 604_800  # seconds; the standard's bounds of expires_in
_BLAKE3 = "blake3:"


class Assets(ComfyV2Routes):
    """Endpoints over AssetService."""

    async def upload(self, request: Request) -> Response:
        """POST /assets: the file streams through; 201 for new bytes, 200 for bytes the account had before."""
        session = await self.sessions.of(request)
        boundary = boundary_of(request.headers.get("content-type"))
        upload = Upload(FormReader(request.stream(), boundary, FormLimits()), idempotency_key(request))
        answer = await upload.send(self.backends, session)
        body = self.bodies(request, session).asset(answer.asset, answer.created_new)
        return json_response(body, 201 if answer.created_new else 200)

    async def from_hash(self, request: Request) -> Response:
        """POST /assets/from-hash: a record over bytes that the account already has."""
        session = await self.sessions.of(request)
        answer = await self.backends.assets.CreateAssetFromHash(
            from_hash_of(await self.json_body(request), idempotency_key(request)), metadata=session.metadata
        )
        body = self.bodies(request, session).asset(answer.asset, answer.created_new)
        return json_response(body, 201 if answer.created_new else 200)

    async def by_hash(self, request: Request) -> Response:
        """HEAD /assets/by-hash/{hash}: 200 or 404, no body."""
        session = await self.sessions.of(request)
        digest = checked_hash(str(request.path_params["hash"]))
        answer = await self.backends.assets.CheckBlob(CheckBlobRequest(hash=digest), metadata=session.metadata)
        return Response(headers={"x-size-bytes": str(answer.size_bytes)})

    async def get(self, request: Request) -> Response:
        """GET /assets/{id}: the record with a fresh link."""
        session = await self.sessions.of(request)
        asset = await self._asset(session, resource_id(request, "ASSET_NOT_FOUND"))
        return json_response(self.bodies(request, session).asset(asset))

    async def delete(self, request: Request) -> Response:
        """DELETE /assets/{id}: 204; a second time 404."""
        session = await self.sessions.of(request)
        await self.backends.assets.DeleteAsset(
            DeleteAssetRequest(asset_id=resource_id(request, "ASSET_NOT_FOUND")), metadata=session.metadata
        )
        return Response(status_code=204)

    async def content(self, request: Request) -> Response:
        """GET and HEAD /assets/{id}/content: the bytes or a range, by token or by the key of a signed link."""
        asset_id = resource_id(request, "ASSET_NOT_FOUND")
        session = await self._reader(request, asset_id)
        asset = await self._asset(session, asset_id)
        try:
            part = wanted_range(request, asset)
        except ranges.Unsatisfiable:
            return Response(status_code=416, headers={"content-range": f"bytes */{asset.size_bytes}"})
        if etag(asset) in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=content_headers(asset, None))
        headers, status = content_headers(asset, part), 206 if part else 200
        if request.method == "HEAD" or not asset.size_bytes:
            return Response(status_code=status, headers=headers)
        return StreamingResponse(self._chunks(session, asset, part), status, headers)

    async def _reader(self, request: Request, asset_id: str) -> Session:
        if key := request.query_params.get("key"):
            account_id = self.links.account_of(key, asset_id)
            if account_id is None:
                raise NotFound("ASSET_NOT_FOUND", "not found")
            return self.sessions.for_account(account_id)
        return await self.sessions.of(request)

    async def _asset(self, session: Session, asset_id: str) -> Asset:
        answer = await self.backends.assets.GetAsset(GetAssetRequest(asset_id=asset_id), metadata=session.metadata)
        return answer.asset

    async def _chunks(self, session: Session, asset: Asset, part: ranges.ByteRange | None) -> AsyncIterator[bytes]:
        query = DownloadAssetRequest(
            asset_id=asset.asset_id, offset=part.offset if part else 0, length=part.length if part else 0
        )
        async with stream(self.backends.assets.DownloadAsset(query, metadata=session.metadata)) as messages:
            async for message in messages:
                if message.WhichOneof("part") == "chunk":
                    yield message.chunk


class Upload:
    """A form on its way to the service."""

    def __init__(self, reader: FormReader, request_id: str) -> None:
        self._reader = reader
        self._request_id = request_id
        self._failure: Exception | None = None

    async def send(self, backends: Backends, session: Session) -> UploadAssetResponse:
        """Raises what is wrong with the form, else what the service says."""
        try:
            return await backends.assets.UploadAsset(self._messages(), metadata=session.metadata)
        except ServiceError:
            if self._failure is not None:
                raise self._failure from None
            raise

    async def _messages(self) -> AsyncIterator[UploadAssetRequest]:
        """The bytes as they arrive, then what they are.

        gRPC keeps what an iterator raises to itself. So trouble with the form is noted and the stream ends early: the
        service keeps nothing of an upload that was never described.
        """
        try:
            async with aclosing(self._reader.file_chunks()) as chunks:
                async for chunk in chunks:
                    for start in range(0, len(chunk), CHUNK):
                        yield UploadAssetRequest(chunk=chunk[start : start + CHUNK])
            described = metadata_of(self._reader.form, self._request_id)
        except (ServiceError, ClientDisconnect) as failure:
            self._failure = failure
        else:
            yield UploadAssetRequest(metadata=described)


def metadata_of(form: Form, request_id: str) -> UploadMetadata:
    """The fields of an upload, each checked as the standard says."""
    if form.file is None:
        raise field_error("file", "is required")
    content_type, file_path = form.last("content_type"), form.last("file_path")
    if not content_type:
        raise field_error("content_type", "is required")
    if not file_path:
        raise field_error("file_path", "is required")
    expected_hash = form.last("expected_hash")
    return UploadMetadata(
        content_type=content_type,
        file_path=file_path,
        expected_hash=checked_hash(expected_hash, "expected_hash") if expected_hash else "",
        tags=form.fields.get("tags", []),
        expires_in=expires_in(form.last("expires_in")),
        request_id=request_id,
    )


def from_hash_of(body: dict[str, object], request_id: str) -> CreateAssetFromHashRequest:
    """The body of from-hash, each field checked as the standard says."""
    digest, file_path, tags = body.get("hash"), body.get("file_path"), body.get("tags")
    if not isinstance(digest, str):
        raise field_error("hash", "is required and must be a string")
    if not isinstance(file_path, str | None):
        raise field_error("file_path", "must be a string")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise field_error("tags", "must be an array of strings")
    seconds = body.get("expires_in")
    return CreateAssetFromHashRequest(
        hash=checked_hash(digest, "hash"),
        file_path=file_path or "",
        tags=tags or [],
        expires_in=expires_in(None if seconds is None else str(seconds)),
        request_id=request_id,
    )


def checked_hash(text: str, name: str | None = None) -> str:
    """A `blake3:<64 hex>` hash in lower case; in a path a malformed one reads as not found."""
    digest = text.lower().removeprefix(_BLAKE3)
    if text.lower().startswith(_BLAKE3) and len(digest) == 64 and set(digest) <= set("0123456789abcdef"):
        return _BLAKE3 + digest
    if name is None:
        raise NotFound("BLOB_NOT_FOUND", "no such bytes")
    raise field_error(name, "must be blake3: and 64 hex digits")


def expires_in(text: str | None) -> Duration | None:
    """The retention override in seconds."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and MIN_EXPIRES <= int(text[:12]) <= MAX_EXPIRES):
        raise field_error("expires_in", f"must be an integer between {MIN_EXPIRES} and {MAX_EXPIRES}")
    return Duration(seconds=int(text))


def wanted_range(request: Request, asset: Asset) -> ranges.ByteRange | None:
    """The range asked for; If-Range with another entity makes it the whole."""
    condition = request.headers.get("if-range")
    if condition is not None and condition != etag(asset):
        return None
    return ranges.parse(request.headers.get("range"), asset.size_bytes)


def etag(asset: Asset) -> str:
    """The content hash is a perfect strong validator."""
    return f'"{asset.hash}"'


def content_headers(asset: Asset, part: ranges.ByteRange | None) -> dict[str, str]:
    """Headers of a download. Content is never sniffed and, being a tenant's own, never rendered as a page."""
    headers = {
        "content-type": asset.content_type,
        "content-length": str(part.length if part else asset.size_bytes),
        "accept-ranges": "bytes",
        "etag": etag(asset),
        "cache-control": "private, max-age=3600",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
    }
    return headers | ({"content-range": part.content_range(asset.size_bytes)} if part else {})
