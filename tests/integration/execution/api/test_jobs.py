"""Reading and cancelling jobs."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from comfyfleet.execution.v1 import execution_service_pb2 as pb
from comfyfleet.execution.v1 import job_pb2
from libs.errors import InvalidArgument, NotFound, Unauthenticated
from libs.rpc.client import open_channel
from services.execution.app import Execution
from tests.support.execution import Tenant
from tests.support.execution_rows import Rows


async def test_an_unknown_job_is_not_found(ann: Tenant) -> None:
    with pytest.raises(NotFound) as missing:
        await ann.get(str(uuid4()))
    assert missing.value.reason == "JOB_NOT_FOUND"


async def test_a_call_without_identity_is_refused(service: Execution) -> None:
    async with open_channel(service.address) as channel:
        with pytest.raises(Unauthenticated):
            await Tenant(uuid4(), channel).submit()


async def test_lists_are_newest_first_in_pages_and_filtered(ann: Tenant, bob: Tenant) -> None:
    await bob.submit()
    made = [(await ann.submit(labels={"parity": str(n % 2)})).job_id for n in range(5)]
    await ann.cancel(made[0])
    assert await listed(ann, page_size=2) == made[::-1]
    assert await listed(ann, labels={"parity": "1"}) == [made[3], made[1]]
    assert await listed(ann, states=[job_pb2.JOB_STATE_CANCELED]) == [made[0]]


@pytest.mark.parametrize("token", ["x", "%", "WzFd", "WyJhIiwiYiJd", "WzFlOTksIngiXQ"])
async def test_a_foreign_page_token_is_refused(ann: Tenant, token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await ann.jobs.ListJobs(pb.ListJobsRequest(page_token=token))
    assert refused.value.reason == "PAGE_TOKEN_INVALID"


async def test_a_waiting_job_is_canceled_at_once(ann: Tenant) -> None:
    job = await ann.submit()
    canceled = await ann.cancel(job.job_id)
    assert canceled.state == job_pb2.JOB_STATE_CANCELED
    assert canceled.HasField("end_time")
    assert not canceled.HasField("queue_position")
    assert (await ann.cancel(job.job_id)).last_sequence == canceled.last_sequence == 2


async def test_a_job_with_an_attempt_is_canceling_until_its_driver_ends_it(ann: Tenant, rows: Rows) -> None:
    for state in ("queued", "running"):
        job = await ann.submit()
        await rows.open_attempt(job.job_id, state)
        canceling = await ann.cancel(job.job_id)
        assert canceling.state == job_pb2.JOB_STATE_CANCELING
        assert len(canceling.attempts) == 1
        assert (await ann.cancel(job.job_id)).last_sequence == canceling.last_sequence


async def test_a_job_in_a_runners_queue_says_so(ann: Tenant, rows: Rows) -> None:
    job = await ann.submit()
    await rows.open_attempt(job.job_id, "queued")
    seen = await ann.get(job.job_id)
    assert seen.waiting_reason.startswith("in_runner_queue: ")
    assert not seen.HasField("queue_position")


async def test_jobs_past_the_queue_deadline_expire(ann: Tenant, service: Execution, rows: Rows) -> None:
    late, taken, fresh = [await ann.submit() for _ in range(3)]
    await rows.open_attempt(taken.job_id, "queued")
    for job in (late, taken):
        await rows.age(job.job_id, timedelta(days=2))
    await rows.sweep()
    expired = await ann.get(late.job_id)
    assert expired.state == job_pb2.JOB_STATE_EXPIRED
    assert expired.error.code == "queue_deadline_exceeded"
    assert expired.error.message.startswith("no_active_runner: ")
    assert (await ann.get(taken.job_id)).state == job_pb2.JOB_STATE_QUEUED
    assert (await ann.get(fresh.job_id)).state == job_pb2.JOB_STATE_QUEUED


async def test_a_key_is_free_again_after_a_day(ann: Tenant, rows: Rows) -> None:
    first = await ann.submit(request_id="key")
    await rows.execute("update idempotency set create_time = create_time - interval '25 hours'")
    second = await ann.submitted(request_id="key")
    assert not second.replayed
    assert second.job.job_id != first.job_id
    assert (await ann.submitted(request_id="key")).job.job_id == second.job.job_id


async def test_ended_jobs_are_forgotten_after_their_retention(ann: Tenant, rows: Rows) -> None:
    ended, waiting = await ann.submit(), await ann.submit()
    await ann.cancel(ended.job_id)
    await rows.execute("update job set expire_time = now() - interval '1 second'")
    await rows.sweep()
    with pytest.raises(NotFound):
        await ann.get(ended.job_id)
    assert UUID((await ann.get(waiting.job_id)).job_id)


async def listed(tenant: Tenant, **more: object) -> list[str]:
    """The ids on all pages."""
    found, token = [], ""
    while True:
        page = await tenant.jobs.ListJobs(pb.ListJobsRequest(page_token=token, **more))  # type: ignore[arg-type]
        found += [job.job_id for job in page.jobs]
        token = page.next_page_token
        if not token:
            return found
