"""The execution service inside the test's own process, and the two halves of a conversation with it."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from grpc.aio import Channel

from comfyfleet.execution.v1 import asset_pb2, asset_service_pb2, execution_service_pb2, job_pb2
from comfyfleet.execution.v1.asset_service_pb2_grpc import AssetServiceStub
from comfyfleet.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from libs.identity import TENANT, IdentityKey, Principal
from libs.rpc.client import open_channel, stream
from services.execution.app import Execution, build
from services.execution.domain import RunnerView
from services.execution.settings import ExecutionSettings

if TYPE_CHECKING:
    from comfyfleet.execution.v1.asset_service_pb2_grpc import AssetServiceAsyncStub
    from comfyfleet.execution.v1.execution_service_pb2_grpc import ExecutionServiceAsyncStub

IDENTITY_KEY = "k" * 40


@dataclass
class StandingFleet:
    """A list of runners that a test writes."""

    views: list[RunnerView] = field(default_factory=list)
    synced: bool = True

    def runners(self) -> Sequence[RunnerView]:
        """What stands in the list."""
        return self.views


@dataclass
class Tenant:
    """An account that talks to the service."""

    account_id: UUID
    channel: Channel

    @property
    def jobs(self) -> "ExecutionServiceAsyncStub":
        """ExecutionService."""
        return ExecutionServiceStub(self.channel)

    @property
    def assets(self) -> "AssetServiceAsyncStub":
        """AssetService."""
        return AssetServiceStub(self.channel)

    async def submit(self, workflow: Any = None, **more: Any) -> job_pb2.Job:
        """Submit a graph, a small one by default."""
        return (await self.submitted(workflow, **more)).job

    async def submitted(self, workflow: Any = None, **more: Any) -> execution_service_pb2.SubmitJobResponse:
        """The whole answer of SubmitJob."""
        data = workflow if isinstance(workflow, bytes) else json.dumps(workflow or graph()).encode()
        return await self.jobs.SubmitJob(execution_service_pb2.SubmitJobRequest(workflow=data, **more))

    async def get(self, job_id: str) -> job_pb2.Job:
        """GetJob."""
        return (await self.jobs.GetJob(execution_service_pb2.GetJobRequest(job_id=job_id))).job

    async def cancel(self, job_id: str) -> job_pb2.Job:
        """CancelJob."""
        return (await self.jobs.CancelJob(execution_service_pb2.CancelJobRequest(job_id=job_id))).job

    @asynccontextmanager
    async def watch(self, job_id: str, **more: Any) -> AsyncIterator[AsyncIterator[Any]]:
        """WatchJob."""
        request = execution_service_pb2.WatchJobRequest(job_id=job_id, **more)
        async with stream(self.jobs.WatchJob(request)) as messages:
            yield aiter(messages)

    async def upload(self, data: bytes, **metadata: Any) -> asset_service_pb2.UploadAssetResponse:
        """UploadAsset, metadata first."""
        metadata.setdefault("content_type", "image/png")
        return await self.assets.UploadAsset(upload_messages(data, **metadata))

    async def download(self, asset_id: str, **more: Any) -> tuple[asset_pb2.Asset, bytes]:
        """DownloadAsset."""
        request = asset_service_pb2.DownloadAssetRequest(asset_id=asset_id, **more)
        record, content = asset_pb2.Asset(), bytearray()
        async with stream(self.assets.DownloadAsset(request)) as messages:
            async for message in messages:
                record.MergeFrom(message.asset)
                content += message.chunk
        return record, bytes(content)


async def upload_messages(
    data: bytes, chunk: int = 64 << 10, **metadata: Any
) -> AsyncIterator[asset_service_pb2.UploadAssetRequest]:
    """What a client sends to upload bytes."""
    told = asset_service_pb2.UploadMetadata(**metadata)
    yield asset_service_pb2.UploadAssetRequest(metadata=told)
    for start in range(0, len(data), chunk):
        yield asset_service_pb2.UploadAssetRequest(chunk=data[start : start + chunk])


def graph(**inputs: Any) -> Mapping[str, Any]:
    """A graph of two nodes; the inputs go to the first."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, **inputs}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "out"}},
    }


def asset_input(asset_id: str) -> Mapping[str, Any]:
    """An input that stands for an asset."""
    return {"__type": "core/ASSET", "info": {"id": asset_id}}


def settings(dsn: str, folder: Path, **more: Any) -> ExecutionSettings:
    """Settings for a test."""
    values = {
        "database_url": dsn,
        "identity_key": IDENTITY_KEY,
        "blob_store_url": folder.as_uri(),
        "drain_seconds": 5.0,
        **more,
    }
    return ExecutionSettings(**values)


@asynccontextmanager
async def tenant(address: str, account_id: UUID | None = None, tier: str = "pro") -> AsyncIterator[Tenant]:
    """Somebody with an account, a new one by default."""
    account_id = account_id or uuid4()
    principal = Principal(str(account_id), tier, frozenset({TENANT}))
    key = IdentityKey(IDENTITY_KEY)
    async with open_channel(address, sign=lambda: key.sign(principal)) as channel:
        yield Tenant(account_id, channel)


class Replicas:
    """Running replicas of the service, and tenants who talk to them."""

    def __init__(self, stack: AsyncExitStack, dsn: str, folder: Path) -> None:
        self._stack = stack
        self._dsn = dsn
        self._folder = folder
        self._running: dict[Execution, AsyncExitStack] = {}

    async def start(self, fleet: StandingFleet | None = None, **more: Any) -> Execution:
        """One more replica, which takes jobs and never dispatches them."""
        app = build(settings(self._dsn, self._folder, **more), fleet=fleet or StandingFleet())
        own = self._running[app] = await self._stack.enter_async_context(AsyncExitStack())
        await own.enter_async_context(app.running())
        return app

    async def stop(self, app: Execution) -> None:
        """Stop one replica as a signal would."""
        await self._running.pop(app).aclose()

    async def tenant(self, app: Execution, account_id: UUID | None = None) -> Tenant:
        """Somebody who talks to a replica."""
        return await self._stack.enter_async_context(tenant(app.address, account_id))


@asynccontextmanager
async def replicas(dsn: str, folder: Path) -> AsyncIterator[Replicas]:
    """A place to start replicas that share a database and an object store."""
    async with AsyncExitStack() as stack:
        yield Replicas(stack, dsn, folder)
