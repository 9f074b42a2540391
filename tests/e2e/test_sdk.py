"""The official Python SDK, unchanged, against a fleet: upload, submit, events, wait, download, cancel, workflow."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from comfy_sdk import AsyncComfy, Comfy, InvalidWorkflow, NotFound
from comfy_sdk.events import OutputReady, Preview, Progress, StatusChange
from PIL import Image

from libs.testing import eventually
from tests.support.graphs import loading, picture, sampled
from tests.support.stack import Account, Stack, running_stack


@pytest.fixture(scope="module")
async def fleet(
    module_dsn: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Stack, Account]]:
    async with running_stack(module_dsn, nats_url, tmp_path_factory.mktemp("blobs")) as stack:
        account = await stack.account()
        await stack.register(account, stack.simulators[0])
        yield stack, account


@pytest.fixture
def base_url(fleet: tuple[Stack, Account], monkeypatch: pytest.MonkeyPatch) -> str:
    """The SDK takes its target from the environment alone."""
    monkeypatch.setenv("COMFY_BASE_URL", fleet[0].url)
    return fleet[0].url


def red_png() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (20, 10), (255, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def sync_flow(token: str, folder: Path) -> dict[str, Any]:
    """What a user's script does; runs in a thread because the SDK blocks."""
    client = Comfy(api_key=token)
    asset = client.assets.from_bytes(red_png(), filename="red.png")
    asset.commit()
    again = client.assets.from_bytes(red_png(), filename="red.png")
    again.commit()
    job = client.submit(client.workflows.from_json(loading(asset.as_reference())), metadata={"run": "sync"})
    seen = list(job.events())
    job.wait(20)
    output = job.outputs[0]
    output.to_file(str(folder / "out.png"))
    listed = list(client.list_jobs(metadata={"run": "sync"}))
    return {
        "created": (asset.created_new, again.created_new),
        "events": seen,
        "status": job.status,
        "listed": [item.id for item in listed] == [job.id],
        "workflow": job.get_workflow(),
        "rehydrated": client.jobs.get(job.id).status,
    }


async def test_the_sync_client_runs_its_normal_flow(
    fleet: tuple[Stack, Account], base_url: str, tmp_path: Path
) -> None:
    result = await asyncio.to_thread(sync_flow, fleet[1].token, tmp_path)
    assert result["created"] == (True, False)
    assert (result["status"], result["rehydrated"], result["listed"]) == ("succeeded", "succeeded", True)
    assert result["workflow"].format == "api"
    assert set(result["workflow"].graph) == {"1", "2", "9"}
    with Image.open(tmp_path / "out.png") as picture_:
        assert (picture_.size, picture_.convert("RGB").getpixel((0, 0))) == ((20, 10), (0, 255, 255))
    assert [event.status for event in result["events"] if isinstance(event, StatusChange)][-1] == "succeeded"
    assert any(isinstance(event, OutputReady) for event in result["events"])


async def test_the_async_client_sees_progress_and_previews(fleet: tuple[Stack, Account], base_url: str) -> None:
    async with AsyncComfy(api_key=fleet[1].token) as client:
        graph = sampled(1.2, steps=12, node="SimPreviewSampler")
        job = await client.submit(client.workflows.from_json(graph))
        events = [event async for event in job.events()]
        progress = [event.value for event in events if isinstance(event, Progress)]
        assert progress == sorted(progress)
        assert len(progress) >= 2
        assert any(isinstance(event, Preview) and event.data.startswith(b"\xff\xd8") for event in events)
        await job.result()
        assert (await job.outputs[0].to_bytes()).startswith(b"\x89PNG")


async def test_a_running_job_is_cancelled(fleet: tuple[Stack, Account], base_url: str) -> None:
    async with AsyncComfy(api_key=fleet[1].token) as client:
        job = await client.submit(client.workflows.from_json(sampled(60, steps=600)))

        async def running() -> bool:
            return (await job.refresh()).status == "running"

        await eventually(running)
        assert (await job.cancel()).status in ("canceling", "canceled")
        assert (await job.wait(20)).status == "canceled"
        assert (await job.cancel()).status == "canceled"


async def test_refusals_are_the_sdks_own_exceptions(fleet: tuple[Stack, Account], base_url: str) -> None:
    async with AsyncComfy(api_key=fleet[1].token) as client:
        with pytest.raises(InvalidWorkflow) as caught:
            await client.submit(client.workflows.from_json({"1": {"class_type": "Nowhere", "inputs": {}}}))
        assert caught.value.details is not None
        assert caught.value.details["node_errors"]["1"][0]["reason"] == "unknown_node_class"
        with pytest.raises(NotFound):
            await client.jobs.get("00000000-0000-4000-8000-000000000000")


async def test_an_asset_is_deleted_once(fleet: tuple[Stack, Account], base_url: str) -> None:
    async with AsyncComfy(api_key=fleet[1].token) as client:
        asset = client.assets.from_bytes(b"just once", filename="once.bin")
        asset_id = await asset.commit()
        await asset.delete()
        with pytest.raises(NotFound):
            await (await client.assets.get(asset_id)).delete()


async def test_a_simple_picture_arrives(fleet: tuple[Stack, Account], base_url: str) -> None:
    async with AsyncComfy(api_key=fleet[1].token) as client:
        job = await client.submit(client.workflows.from_json(picture(77)))
        await job.result()
        assert len(job.get_outputs("9")) == 1
