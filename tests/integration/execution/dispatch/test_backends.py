"""PostgreSQL, NATS or the object store away for a while: jobs finish all the same."""

from pathlib import Path

from libs.testing import eventually
from tests.integration.execution.dispatch.world import RUNNING, SUCCEEDED, World, ended, in_state, picture, slow_picture
from tests.integration.execution.dispatch.world import world as new_world
from tests.support.servers import running_nats, running_postgres


async def test_a_job_outlives_a_restart_of_the_database(nats_url: str, tmp_path: Path) -> None:
    async with running_postgres() as postgres, new_world(postgres.dsn, nats_url, tmp_path) as fleet:
        await fleet.runner()
        _, ann = await fleet.replica(lease_seconds=10)
        job = await in_state(ann, (await ann.submit(slow_picture(2, seed=1))).job_id, RUNNING)
        await postgres.restart()
        job = await ended(ann, job.job_id)
        assert (job.state, len(job.attempts), len(job.outputs)) == (SUCCEEDED, 1, 1)
        assert list(fleet.executions().values()) == [1]


async def test_a_job_outlives_a_database_that_is_away_longer_than_a_lease(nats_url: str, tmp_path: Path) -> None:
    async with running_postgres() as postgres, new_world(postgres.dsn, nats_url, tmp_path) as fleet:
        simulator = await fleet.runner()
        _, ann = await fleet.replica(lease_seconds=1)
        job = await in_state(ann, (await ann.submit(slow_picture(3, seed=1))).job_id, RUNNING)
        await postgres.stop()
        await eventually(lambda: simulator.server.prompts.remaining == 0)
        await postgres.start()
        job = await ended(ann, job.job_id)
        assert (job.state, len(job.attempts), len(job.outputs)) == (SUCCEEDED, 1, 1)
        assert list(fleet.executions().values()) == [1]


async def test_jobs_finish_without_nats(postgres_dsn: str, tmp_path: Path) -> None:
    async with running_nats() as nats, new_world(postgres_dsn, nats.url, tmp_path) as fleet:
        await fleet.runner()
        _, ann = await fleet.replica()
        _, bea = await fleet.replica()
        running = await in_state(ann, (await ann.submit(slow_picture(1, seed=1))).job_id, RUNNING)
        await nats.stop()
        later = [(await someone.submit(picture(number))).job_id for number, someone in enumerate((ann, bea))]
        for job_id in (running.job_id, *later):
            assert (await ended(ann, job_id)).state == SUCCEEDED
        assert set(fleet.executions().values()) == {1}


async def test_results_wait_for_the_object_store(fleet: World) -> None:
    simulator = await fleet.runner()
    _, ann = await fleet.replica()
    away = fleet.folder.with_name("away")
    fleet.folder.rename(away)
    fleet.folder.write_text("in the way")
    job = await ann.submit(picture(1))
    await eventually(lambda: bool(simulator.executions) and simulator.server.prompts.remaining == 0)
    await in_state(ann, job.job_id, RUNNING)
    fleet.folder.unlink()
    away.rename(fleet.folder)
    job = await ended(ann, job.job_id)
    assert (job.state, len(job.attempts), len(job.outputs)) == (SUCCEEDED, 1, 1)
