"""The ComfyUI client through whole runs, on a simulated runner of every version."""

import io
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from PIL import Image

from deploy.simulator.app import Simulator, SimulatorSettings, simulating
from deploy.simulator.versions import VERSIONS
from libs.clock import SystemClock
from libs.comfy import (
    Absent,
    ComfyClient,
    Finished,
    HistoryEntry,
    Outcome,
    Pending,
    PromptRefused,
    Running,
    SubmitUnclear,
    messages,
)
from libs.outbound import AddressPolicy, BadAnswer, Outbound, Unreachable
from libs.testing import eventually

EMPTY = {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 255}}


def saving(name: str, **node: Mapping[str, Any]) -> dict[str, Any]:
    """EmptyImage → the given node → SaveImage."""
    (class_type, inputs), *_ = node.items()
    return {
        "1": EMPTY,
        "2": {"class_type": class_type, "inputs": {"image": ["1", 0], **inputs}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": name}},
    }


QUICK = saving("quick", ImageInvert={})
SLOW = saving("slow", SimPreviewSampler={"seconds": 60.0, "steps": 600, "seed": 1})


@pytest.fixture(params=sorted(VERSIONS))
async def runner(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
    async with simulating(SimulatorSettings(version=request.param)) as simulator:
        yield simulator


@pytest.fixture
async def client(runner: Simulator) -> AsyncIterator[ComfyClient]:
    async with client_of(runner) as client:
        yield client


@asynccontextmanager
async def client_of(runner: Simulator) -> AsyncIterator[ComfyClient]:
    outbound = Outbound(AddressPolicy())
    try:
        yield ComfyClient(runner.endpoint, {}, outbound, SystemClock())
    finally:
        await outbound.aclose()


async def ended(client: ComfyClient, prompt_id: str) -> HistoryEntry:
    async def finished() -> Finished | None:
        found = await client.find(prompt_id)
        return found if isinstance(found, Finished) else None

    return (await eventually(finished)).entry


async def test_a_run_from_upload_to_download(client: ComfyClient) -> None:
    wanted = str(uuid.uuid4())
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(picture, "PNG")
    name = await client.upload_image("in.png", picture.getvalue(), subfolder="job")
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "out"}},
    }
    async with client.events() as stream:
        submitted = await client.submit(graph, wanted, stream.client_id)
        events = []
        async for event in stream:
            events.append(event)
            if event == messages.Executing(submitted.prompt_id, None):
                break
    assert any(isinstance(event, messages.Executed) for event in events)
    entry = await client.history(submitted.prompt_id)
    assert entry
    assert (entry.outcome, entry.marker) == (Outcome.SUCCESS, wanted)
    async with client.view(entry.files[0]) as download:
        assert download.content_type == "image/png"
        assert Image.open(io.BytesIO(await download.body())).size == (8, 8)
    assert await client.find(wanted) == Finished(submitted.prompt_id, entry)
    assert await client.probe() == 0


async def test_previews_belong_to_their_prompt(client: ComfyClient) -> None:
    graph = saving("seen", SimPreviewSampler={"seconds": 0.1, "steps": 4, "seed": 1})
    async with client.events() as stream:
        submitted = await client.submit(graph, str(uuid.uuid4()), stream.client_id)
        async for event in stream:
            if isinstance(event, messages.Preview):
                break
    assert (event.prompt_id, event.node, event.content_type) == (submitted.prompt_id, "2", "image/jpeg")  # type: ignore[union-attr]


async def test_where_prompts_are_and_how_they_are_canceled(client: ComfyClient) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    running = await client.submit(SLOW, first, "me")
    waiting = await client.submit(QUICK, second, "me")

    async def it_runs() -> bool:
        return isinstance(await client.find(first), Running)

    await eventually(it_runs)
    assert await client.find(second) == Pending(waiting.prompt_id, 0)
    await client.cancel(waiting.prompt_id)
    assert await client.find(second) == Absent()
    canceled = await client.cancel(running.prompt_id)
    assert canceled.signalled
    assert canceled.may_have_hit_another is not (await client.version()).interrupts_by_id
    assert (await ended(client, first)).outcome is Outcome.INTERRUPTED
    assert not (await client.cancel(running.prompt_id)).signalled


async def test_failures_and_refusals(client: ComfyClient) -> None:
    prompt_id = str(uuid.uuid4())
    await client.submit(saving("oom", SimFail={"mode": "oom", "message": "no room"}), prompt_id, "me")
    failure = (await ended(client, prompt_id)).failure
    assert failure
    assert failure.is_out_of_memory
    assert failure.node_id == "2"
    with pytest.raises(PromptRefused) as refused:
        await client.submit({"1": EMPTY}, str(uuid.uuid4()), "me")
    assert refused.value.error["type"] == "prompt_no_outputs"


@pytest.mark.parametrize("fault", ["error_500_but_queued", "lose_reply"])
async def test_an_unclear_submit_is_found_and_ran_once(runner: Simulator, client: ComfyClient, fault: str) -> None:
    runner.faults.change({fault: 1})
    prompt_id = str(uuid.uuid4())
    with pytest.raises(SubmitUnclear):
        await client.submit(QUICK, prompt_id, "me")
    assert (await ended(client, prompt_id)).outcome is Outcome.SUCCESS
    assert set(runner.executions.values()) == {1}


async def test_a_deaf_socket_does_not_hide_the_end(runner: Simulator, client: ComfyClient) -> None:
    runner.faults.change({"deaf_socket": True})
    async with client.events() as stream:
        await client.submit(QUICK, "3f0c8f0e-5b1f-4c59-9d5c-1d1c3c1f0a01", stream.client_id)
        assert (await ended(client, "3f0c8f0e-5b1f-4c59-9d5c-1d1c3c1f0a01")).outcome is Outcome.SUCCESS


async def test_web_pages_are_no_answers(runner: Simulator, client: ComfyClient) -> None:
    runner.faults.change({"html_answers": True})
    with pytest.raises(BadAnswer):
        await client.probe()
    with pytest.raises(BadAnswer):
        await client.find("anything")


async def test_a_crash_ends_the_stream_and_forgets_the_prompt() -> None:
    async with simulating() as runner, client_of(runner) as client:
        prompt_id = str(uuid.uuid4())
        async with client.events() as stream:
            await client.submit(SLOW, prompt_id, stream.client_id)
            await runner.crash(0)
            async for _ in stream:
                pass
            assert stream.close_reason

        async def forgotten() -> bool:
            try:
                return await client.find(prompt_id) == Absent()
            except Unreachable:
                return False

        await eventually(forgotten)
