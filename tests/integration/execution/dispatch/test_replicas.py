"""Several replicas over the same runners: every job runs once, whoever dies."""

from collections import Counter

from libs.testing import eventually
from tests.integration.execution.dispatch.world import (
    CANCELED,
    RUNNING,
    SUCCEEDED,
    World,
    all_ended,
    ended,
    in_state,
    picture,
    slow_picture,
)


async def test_two_replicas_run_every_job_exactly_once(fleet: World) -> None:
    for _ in range(4):
        await fleet.runner()
    tenants = [(await fleet.replica())[1] for _ in range(2)]
    jobs = [(await tenants[number % 2].submit(picture(number))).job_id for number in range(100)]
    done = await all_ended(tenants[0], jobs)
    assert Counter(job.state for job in done) == {SUCCEEDED: 100}
    assert {len(job.attempts) for job in done} == {1}
    assert Counter(fleet.executions().values()) == {1: 100}
    assert all(simulator.executions for simulator in fleet.simulators.values())


async def test_runners_are_shared_when_a_replica_joins_and_leaves(fleet: World) -> None:
    for _ in range(4):
        await fleet.runner()
    first, _ = await fleet.process()
    _, ann = await fleet.replica()
    await all_ended(ann, [(await ann.submit(picture(number))).job_id for number in range(8)])
    assert await first.terminate() == 0
    await all_ended(ann, [(await ann.submit(picture(number))).job_id for number in range(8, 24)])
    assert set(fleet.executions().values()) == {1}


async def test_a_killed_replicas_job_is_taken_over_and_not_run_again(fleet: World) -> None:
    await fleet.runner()
    first, ann = await fleet.process()
    job = await in_state(ann, (await ann.submit(slow_picture(4, seed=1))).job_id, RUNNING)
    await first.kill()
    _, bea = await fleet.replica()
    job = await ended(bea, job.job_id)
    assert (job.state, len(job.attempts), len(job.outputs)) == (SUCCEEDED, 1, 1)
    assert list(fleet.executions().values()) == [1]


async def test_a_job_that_ends_while_nobody_watches_is_found_in_history(fleet: World) -> None:
    simulator = await fleet.runner()
    first, ann = await fleet.process()
    job = await in_state(ann, (await ann.submit(slow_picture(1, seed=1))).job_id, RUNNING)
    await first.kill()
    await eventually(lambda: simulator.server.prompts.remaining == 0)
    _, bea = await fleet.replica()
    job = await ended(bea, job.job_id)
    assert (job.state, len(job.attempts), len(job.outputs)) == (SUCCEEDED, 1, 1)
    assert list(fleet.executions().values()) == [1]


async def test_a_replica_that_is_asked_to_stop_hands_its_job_over_at_once(fleet: World) -> None:
    await fleet.runner()
    first, ann = await fleet.process(lease_seconds=60)
    job = await in_state(ann, (await ann.submit(slow_picture(4, seed=1))).job_id, RUNNING)
    assert await first.terminate() == 0
    _, bea = await fleet.replica(lease_seconds=60)
    job = await ended(bea, job.job_id)
    assert (job.state, len(job.attempts)) == (SUCCEEDED, 1)
    assert list(fleet.executions().values()) == [1]


async def test_a_cancel_survives_the_death_of_the_replica_that_took_it(fleet: World) -> None:
    simulator = await fleet.runner()
    first, ann = await fleet.process()
    job = await in_state(ann, (await ann.submit(slow_picture(60, seed=1))).job_id, RUNNING)
    simulator.faults.change({"slow_http": 1.5})
    await ann.cancel(job.job_id)
    await first.kill()
    simulator.faults.change({"slow_http": 0.0})
    _, bea = await fleet.replica()
    assert (await ended(bea, job.job_id)).state == CANCELED
    await eventually(lambda: simulator.server.prompts.remaining == 0)


async def test_a_prompt_of_an_attempt_long_over_is_stopped_when_its_runner_comes_back(fleet: World) -> None:
    first = await fleet.runner()
    _, ann = await fleet.replica()
    job = await in_state(ann, (await ann.submit(slow_picture(15, seed=1))).job_id, RUNNING)
    first.faults.change({"html_answers": True, "deaf_socket": True})
    await fleet.runner()

    async def tried_again() -> bool:
        return len((await ann.get(job.job_id)).attempts) == 2

    await eventually(tried_again, within=20)
    first.faults.change({"html_answers": False, "deaf_socket": False})
    await eventually(lambda: first.server.prompts.remaining == 0)
    assert (await ended(ann, job.job_id, within=30)).state == SUCCEEDED
