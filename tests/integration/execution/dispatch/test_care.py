"""What is done with care: secrets, forbidden addresses, previews, and runners that change."""

from typing import Any

from libs.errors import InvalidArgument
from libs.testing import eventually
from tests.integration.execution.dispatch.world import (
    FAILED,
    QUEUED,
    SUCCEEDED,
    World,
    ended,
    in_state,
    picture,
    slow_picture,
)

SECRET = {"api_key_comfy_org": "very-secret"}


async def test_secrets_reach_the_runner_from_whichever_replica_took_the_job(fleet: World) -> None:
    _, ann = await fleet.replica()
    _, bea = await fleet.replica()
    job = await bea.submit(picture(1), extra_data=SECRET)
    simulator = await fleet.runner()
    assert (await ended(ann, job.job_id)).state == SUCCEEDED
    (prompt,) = simulator.server.prompts.history.values()
    assert "very-secret" not in str(prompt)


async def test_a_job_whose_secrets_were_lost_fails_and_says_so(fleet: World) -> None:
    first, ann = await fleet.process()
    job = await in_state(ann, (await ann.submit(picture(1), extra_data=SECRET)).job_id, QUEUED)
    await first.kill()
    await fleet.runner()
    _, bea = await fleet.replica()
    job = await ended(bea, job.job_id)
    assert (job.state, job.error.code) == (FAILED, "extra_data_lost")


async def test_a_runner_at_a_forbidden_address_harms_nobody_else(fleet: World) -> None:
    fleet.registry.add(fleet.account_id, "http://169.254.169.254")
    fleet.registry.add(fleet.account_id, "not a url at all")
    await fleet.runner()
    _, ann = await fleet.replica()
    jobs = [(await ann.submit(picture(number))).job_id for number in range(3)]
    assert {(await ended(ann, job_id)).state for job_id in jobs} == {SUCCEEDED}


async def test_previews_are_shown_and_not_kept(fleet: World) -> None:
    await fleet.runner()
    _, ann = await fleet.replica()
    graph = slow_picture(1.5, seed=1, steps=6)
    graph["2"]["class_type"] = "SimPreviewSampler"
    job = await ann.submit(graph)
    shown: list[Any] = []
    async with ann.watch(job.job_id, previews=True) as messages:
        shown = [message.preview async for message in messages if message.HasField("preview")]
    assert shown
    assert {preview.content_type for preview in shown} == {"image/jpeg"}
    assert all(preview.data.startswith(b"\xff\xd8") for preview in shown)
    assert [output.node_id for output in (await ann.get(job.job_id)).outputs] == ["9"]


async def test_a_runner_that_moves_gets_jobs_at_its_new_address(fleet: World) -> None:
    first = await fleet.runner()
    runner_id = next(iter(fleet.simulators))
    _, ann = await fleet.replica()
    await ended(ann, (await ann.submit(picture(1))).job_id)
    second = await fleet.runner()
    fleet.registry.remove(list(fleet.simulators)[1])
    fleet.registry.add(fleet.account_id, second.endpoint, runner_id)
    await first.stop()
    assert (await ended(ann, (await ann.submit(picture(2))).job_id)).state == SUCCEEDED
    assert len(second.executions) == 1


async def test_what_the_runners_can_do_is_known_before_a_job_is_accepted(fleet: World) -> None:
    await fleet.runner()
    _, ann = await fleet.replica()

    async def refused() -> bool:
        try:
            await ann.submit({**picture(2), "5": {"class_type": "NobodyHasThis", "inputs": {}}})
        except InvalidArgument as error:
            return "NobodyHasThis" in str(error) or "5" in error.metadata["node_errors"]
        return False

    await eventually(refused)
