"""Runners that misbehave: no accepted job is lost, and none runs twice."""

import pytest

from comfyfleet.execution.v1 import job_pb2
from comfyfleet.runner_registry.v1 import runner_pb2
from deploy.simulator.versions import VERSIONS
from libs.testing import eventually
from tests.integration.execution.dispatch.foreign import foreign_prompt
from tests.integration.execution.dispatch.world import (
    CANCELED,
    CANCELING,
    FAILED,
    RUNNING,
    SUCCEEDED,
    World,
    ended,
    in_state,
    picture,
    slow_picture,
)

VERSION = pytest.mark.parametrize("version", list(VERSIONS))


@VERSION
@pytest.mark.parametrize("fault", ["error_500_but_queued", "lose_reply"])
async def test_a_prompt_whose_answer_was_lost_is_found_and_not_sent_again(
    fleet: World, version: str, fault: str
) -> None:
    simulator = await fleet.runner(version)
    simulator.faults.change({fault: 1})
    _, ann = await fleet.replica()
    job = await ended(ann, (await ann.submit(slow_picture(0.3, seed=1))).job_id)
    assert (job.state, len(job.attempts)) == (SUCCEEDED, 1)
    assert list(fleet.executions().values()) == [1]


@VERSION
async def test_a_deaf_socket_costs_time_only(fleet: World, version: str) -> None:
    simulator = await fleet.runner(version)
    simulator.faults.change({"deaf_socket": True})
    _, ann = await fleet.replica()
    first = await ended(ann, (await ann.submit(picture(1))).job_id)
    assert (first.state, len(first.outputs)) == (SUCCEEDED, 1)
    simulator.faults.change({"deaf_socket": False})
    second = await ended(ann, (await ann.submit(picture(2))).job_id)
    assert second.state == SUCCEEDED
    assert set(fleet.executions().values()) == {1}


@VERSION
async def test_a_stalled_broadcast_costs_time_only(fleet: World, version: str) -> None:
    simulator = await fleet.runner(version)
    _, ann = await fleet.replica()
    await ended(ann, (await ann.submit(picture(1))).job_id)
    simulator.faults.change({"stalled_broadcast": True})
    job = await ended(ann, (await ann.submit(picture(2))).job_id)
    assert (job.state, len(job.outputs), len(job.attempts)) == (SUCCEEDED, 1, 1)


@VERSION
async def test_slow_answers_cost_time_only(fleet: World, version: str) -> None:
    simulator = await fleet.runner(version)
    simulator.faults.change({"slow_http": 0.3})
    _, ann = await fleet.replica()
    job = await ended(ann, (await ann.submit(picture(1))).job_id)
    assert (job.state, len(job.attempts)) == (SUCCEEDED, 1)
    assert list(fleet.executions().values()) == [1]


async def test_a_prompt_without_a_trace_is_tried_again_and_then_given_up(fleet: World) -> None:
    simulator = await fleet.runner()
    simulator.faults.change({"lost_history": True})
    _, ann = await fleet.replica(max_attempts=2)
    job = await ended(ann, (await ann.submit(picture(1))).job_id)
    assert (job.state, job.error.code) == (FAILED, "runner_lost")
    assert [attempt.failure_class for attempt in job.attempts] == [job_pb2.FAILURE_CLASS_RUNNER_FAULT] * 2


async def test_a_crashed_runners_job_finishes_on_another(fleet: World) -> None:
    await fleet.runner()
    await fleet.runner()
    _, ann = await fleet.replica()
    job = await in_state(ann, (await ann.submit(slow_picture(1.0, seed=1))).job_id, RUNNING)
    first = next(s for s in fleet.simulators.values() if s.executions)
    await first.crash(seconds=60)
    job = await ended(ann, job.job_id)
    assert job.state == SUCCEEDED, job.error
    assert len({attempt.runner_id for attempt in job.attempts}) == 2


@VERSION
async def test_a_restarted_runner_gets_its_job_again(fleet: World, version: str) -> None:
    simulator = await fleet.runner(version)
    _, ann = await fleet.replica()
    job = await in_state(ann, (await ann.submit(slow_picture(0.6, seed=1))).job_id, RUNNING)
    await simulator.crash(seconds=0.3)
    job = await ended(ann, job.job_id)
    assert (job.state, len(job.attempts)) == (SUCCEEDED, 2)


async def test_a_job_waits_for_a_runner_that_is_away(fleet: World) -> None:
    simulator = await fleet.runner()
    await simulator.crash(seconds=1.5)
    _, ann = await fleet.replica()
    job = await ended(ann, (await ann.submit(picture(1))).job_id)
    assert job.state == SUCCEEDED


@VERSION
async def test_a_failed_node_fails_the_job_at_once(fleet: World, version: str) -> None:
    await fleet.runner(version)
    _, ann = await fleet.replica()
    graph = picture()
    graph["2"] = {"class_type": "SimFail", "inputs": {"image": ["1", 0], "mode": "value", "message": "no luck"}}
    graph["9"]["inputs"]["images"] = ["2", 0]
    job = await ended(ann, (await ann.submit(graph)).job_id)
    assert (job.state, job.error.failure_class) == (FAILED, job_pb2.FAILURE_CLASS_NODE_ERROR)
    assert (job.error.node_id, job.error.class_type, job.error.message) == ("2", "SimFail", "no luck")
    assert len(job.attempts) == 1


async def test_too_little_memory_is_told_as_such(fleet: World) -> None:
    simulator = await fleet.runner()
    simulator.faults.change({"out_of_memory": 1})
    _, ann = await fleet.replica()
    job = await ended(ann, (await ann.submit(picture(1))).job_id)
    assert (job.state, job.error.code) == (FAILED, "out_of_memory")


@VERSION
async def test_a_graph_that_the_runner_refuses_fails_with_its_reasons(fleet: World, version: str) -> None:
    await fleet.runner(version)
    _, ann = await fleet.replica()
    graph = picture()
    graph["1"]["inputs"]["width"] = 0
    job = await ended(ann, (await ann.submit(graph)).job_id)
    assert (job.state, job.error.failure_class) == (FAILED, job_pb2.FAILURE_CLASS_INVALID)
    assert "value_smaller_than_min" in job.error.node_errors_json


async def test_a_model_that_is_missing_here_may_be_elsewhere(fleet: World) -> None:
    await fleet.runner()
    await fleet.runner()
    _, ann = await fleet.replica()
    graph = picture()
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": "nowhere.png"}}
    job = await ended(ann, (await ann.submit(graph)).job_id)
    assert (job.state, job.error.failure_class) == (FAILED, job_pb2.FAILURE_CLASS_INVALID)
    assert len({attempt.runner_id for attempt in job.attempts}) == 2


@VERSION
async def test_a_running_job_is_cancelled(fleet: World, version: str) -> None:
    simulator = await fleet.runner(version)
    _, ann = await fleet.replica()
    job = await in_state(ann, (await ann.submit(slow_picture(20, seed=1))).job_id, RUNNING)
    await ann.cancel(job.job_id)
    assert (await ended(ann, job.job_id)).state == CANCELED
    assert simulator.server.prompts.remaining == 0
    assert (await ended(ann, (await ann.submit(picture(2))).job_id)).state == SUCCEEDED


@VERSION
async def test_a_job_in_a_runners_queue_is_cancelled_and_nobody_elses(fleet: World, version: str) -> None:
    simulator = await fleet.runner(version)
    others = await foreign_prompt(simulator.endpoint)
    _, ann = await fleet.replica()
    job = await ann.submit(picture(1))

    async def submitted() -> bool:
        attempts = (await ann.get(job.job_id)).attempts
        return bool(attempts) and attempts[0].state == job_pb2.ATTEMPT_STATE_SUBMITTED

    await eventually(submitted)
    await ann.cancel(job.job_id)
    assert (await ended(ann, job.job_id)).state == CANCELED
    assert await others.running()


async def test_a_runner_that_does_not_stop_is_left_alone_until_it_does(fleet: World) -> None:
    simulator = await fleet.runner()
    simulator.faults.change({"hang": True})
    _, ann = await fleet.replica()
    job = await in_state(ann, (await ann.submit(picture(1))).job_id, RUNNING)
    await ann.cancel(job.job_id)
    await in_state(ann, job.job_id, CANCELING)
    assert (await ended(ann, job.job_id)).state == CANCELED
    waiting = await ann.submit(picture(2))
    simulator.faults.change({"hang": False})
    assert (await ended(ann, waiting.job_id)).state == SUCCEEDED
    assert set(fleet.executions().values()) == {1}


async def test_a_disabled_runner_gets_nothing_new(fleet: World) -> None:
    simulator = await fleet.runner()
    runner_id = next(iter(fleet.simulators))
    _, ann = await fleet.replica()
    await ended(ann, (await ann.submit(picture(1))).job_id)
    fleet.registry.add(fleet.account_id, simulator.endpoint, runner_id, state=runner_pb2.RUNNER_STATE_DISABLED)
    job = await ann.submit(picture(2))

    async def waits() -> bool:
        return (await ann.get(job.job_id)).waiting_reason.startswith("no_active_runner")

    await eventually(waits)
    fleet.registry.add(fleet.account_id, simulator.endpoint, runner_id)
    assert (await ended(ann, job.job_id)).state == SUCCEEDED


async def test_a_removed_runners_job_goes_elsewhere(fleet: World) -> None:
    first = await fleet.runner()
    _, ann = await fleet.replica()
    job = await in_state(ann, (await ann.submit(slow_picture(4, seed=1))).job_id, RUNNING)
    await first.crash(seconds=60)
    fleet.registry.remove(next(iter(fleet.simulators)))
    await fleet.runner()
    job = await ended(ann, job.job_id)
    assert len(job.attempts) == 2
