"""A job goes in, its result comes out: on every version of ComfyUI that is simulated."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from deploy.simulator.versions import VERSIONS
from tests.integration.execution.dispatch.world import SUCCEEDED, World, ended, picture, slow_picture
from tests.support.execution import asset_input

pytestmark = pytest.mark.parametrize("version", list(VERSIONS))


async def test_a_picture_is_made_stored_and_announced(fleet: World, version: str) -> None:
    await fleet.runner(version)
    _, ann = await fleet.replica()
    job = await ended(ann, (await ann.submit(picture(1))).job_id)
    assert job.state == SUCCEEDED
    assert [(output.node_id, output.content_type) for output in job.outputs] == [("9", "image/png")]
    assert (job.progress.value, len(job.attempts)) == (1.0, 1)
    assert job.HasField("start_time")
    _, data = await ann.download(job.outputs[0].asset_id)
    assert Image.open(BytesIO(data)).size == (8, 8)
    assert set(fleet.executions().values()) == {1}


async def test_watchers_see_every_step_in_order(fleet: World, version: str) -> None:
    await fleet.runner(version)
    _, ann = await fleet.replica()
    job = await ann.submit(slow_picture(0.8, seed=2))
    seen: list[Any] = []
    async with ann.watch(job.job_id, after_sequence=0) as messages:
        seen = [message async for message in messages]
    sequences = [message.event.sequence for message in seen if message.HasField("event")]
    assert sequences == list(range(1, len(sequences) + 1))
    values = [message.progress.value for message in seen if message.HasField("progress")]
    assert values == sorted(values)
    assert any(0 < value < 1 for value in values)
    assert any(message.progress.steps == 20 for message in seen if message.HasField("progress"))


async def test_inputs_are_brought_to_the_runner(fleet: World, version: str) -> None:
    simulator = await fleet.runner(version)
    _, ann = await fleet.replica()
    buffer = BytesIO()
    Image.new("RGB", (5, 3), "red").save(buffer, "PNG")
    asset = (await ann.upload(buffer.getvalue(), file_path="red.png")).asset
    graph = picture()
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": asset_input(asset.asset_id)}}
    job = await ended(ann, (await ann.submit(graph)).job_id)
    assert job.state == SUCCEEDED, job.error
    _, data = await ann.download(job.outputs[0].asset_id)
    assert Image.open(BytesIO(data)).size == (5, 3)
    assert len(simulator.executions) == 1


async def test_results_of_every_kind_are_kept(fleet: World, version: str) -> None:
    await fleet.runner(version)
    _, ann = await fleet.replica()
    graph = picture()
    graph["1"]["inputs"]["batch_size"] = 3
    graph["2"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    graph["3"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}
    graph["4"] = {"class_type": "SimText", "inputs": {"text": "hello"}}
    job = await ended(ann, (await ann.submit(graph)).job_id)
    assert job.state == SUCCEEDED, job.error
    kept = sorted((output.node_id, output.content_type) for output in job.outputs)
    assert kept == [
        *[("2", "image/png")] * 3,
        *[("3", "image/png")] * 3,
        ("4", "text/plain; charset=utf-8"),
        *[("9", "image/png")] * 3,
    ]
    text = next(output for output in job.outputs if output.node_id == "4")
    assert (await ann.download(text.asset_id))[1] == b"hello"


async def test_a_second_run_from_the_cache_has_results_of_its_own(fleet: World, version: str) -> None:
    await fleet.runner(version)
    _, ann = await fleet.replica()
    jobs = [await ended(ann, (await ann.submit(picture(7))).job_id) for _ in range(2)]
    assert [job.state for job in jobs] == [SUCCEEDED, SUCCEEDED]
    first, second = (job.outputs[0] for job in jobs)
    assert (first.hash, first.name) == (second.hash, second.name)
    assert first.asset_id != second.asset_id
