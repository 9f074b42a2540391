"""Nobody sees, changes or even learns of what belongs to another account: one table over every call."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from comfyfleet.execution.v1 import asset_service_pb2 as assets
from comfyfleet.execution.v1 import execution_service_pb2 as jobs
from comfyfleet.execution.v1.asset_service_pb2 import DESCRIPTOR as ASSETS
from comfyfleet.execution.v1.execution_service_pb2 import DESCRIPTOR as JOBS
from libs.errors import Forbidden, InvalidArgument, NotFound
from libs.identity import IdentityKey, Principal
from libs.rpc.client import open_channel
from services.execution.app import Execution
from tests.support.execution import IDENTITY_KEY, Tenant, asset_input, graph, upload_messages

Call = Callable[[Tenant, str, str, str], Awaitable[Any]]


async def watch(tenant: Tenant, job_id: str) -> Any:
    """The first message of a watch."""
    async with tenant.watch(job_id) as updates:
        return await anext(updates)


# What each call does with another account's job, asset and hash.
FOREIGN: dict[str, Call] = {
    "GetJob": lambda t, job, _, __: t.get(job),
    "GetJobWorkflow": lambda t, job, _, __: t.jobs.GetJobWorkflow(jobs.GetJobWorkflowRequest(job_id=job)),
    "CancelJob": lambda t, job, _, __: t.cancel(job),
    "WatchJob": lambda t, job, _, __: watch(t, job),
    "SubmitJob": lambda t, _, asset, __: t.submit(graph(image=asset_input(asset))),
    "GetAsset": lambda t, _, asset, __: t.assets.GetAsset(assets.GetAssetRequest(asset_id=asset)),
    "DownloadAsset": lambda t, _, asset, __: t.download(asset),
    "DeleteAsset": lambda t, _, asset, __: t.assets.DeleteAsset(assets.DeleteAssetRequest(asset_id=asset)),
    "CheckBlob": lambda t, _, __, hash_: t.assets.CheckBlob(assets.CheckBlobRequest(hash=hash_)),
    "CreateAssetFromHash": lambda t, _, __, hash_: t.assets.CreateAssetFromHash(
        assets.CreateAssetFromHashRequest(hash=hash_)
    ),
}
# These name nothing that could be foreign; what they answer is looked at below.
UNNAMED = {"ListJobs", "ListAssets", "UploadAsset"}


def test_the_table_has_every_call() -> None:
    services = [*JOBS.services_by_name.values(), *ASSETS.services_by_name.values()]
    assert {method.name for service in services for method in service.methods} == {*FOREIGN, *UNNAMED}


@pytest.mark.parametrize("name", FOREIGN)
async def test_the_foreign_reads_as_missing(ann: Tenant, bob: Tenant, name: str) -> None:
    job, asset = await bob.submit(), (await bob.upload(b"bytes")).asset
    with pytest.raises(InvalidArgument if name == "SubmitJob" else NotFound):
        await FOREIGN[name](ann, job.job_id, asset.asset_id, asset.hash)
    assert (await bob.get(job.job_id)).last_sequence == 1
    assert (await bob.download(asset.asset_id))[1] == b"bytes"


async def test_lists_and_uploads_show_nothing_foreign(ann: Tenant, bob: Tenant) -> None:
    await bob.submit()
    await bob.upload(b"bytes", request_id="key")
    assert not (await ann.jobs.ListJobs(jobs.ListJobsRequest())).jobs
    assert not (await ann.assets.ListAssets(assets.ListAssetsRequest())).assets
    assert (await ann.upload(b"bytes", request_id="key")).created_new


@pytest.mark.parametrize("role", ["operator", "service"])
async def test_without_an_account_there_is_nothing_to_see(service: Execution, ann: Tenant, role: str) -> None:
    job = await ann.submit()
    principal = Principal("", "", frozenset({role}))
    async with open_channel(service.address, sign=lambda: IdentityKey(IDENTITY_KEY).sign(principal)) as channel:
        nobody = Tenant(ann.account_id, channel)
        for call in (nobody.get(job.job_id), nobody.submit()):
            with pytest.raises(Forbidden):
                await call


async def test_an_account_marked_for_deletion_creates_nothing_more(service: Execution, ann: Tenant) -> None:
    job = await ann.submit()
    principal = Principal(str(ann.account_id), "pro", frozenset({"tenant"}), deleted=True)
    async with open_channel(service.address, sign=lambda: IdentityKey(IDENTITY_KEY).sign(principal)) as channel:
        leaving = Tenant(ann.account_id, channel)
        for call in (leaving.submit(), leaving.assets.UploadAsset(upload_messages(b"x", content_type="a/b"))):
            with pytest.raises(Forbidden) as refused:
                await call
            assert refused.value.reason == "ACCOUNT_DELETED"
        assert (await leaving.cancel(job.job_id)).job_id == job.job_id
