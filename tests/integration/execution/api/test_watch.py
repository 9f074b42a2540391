"""WatchJob: snapshot first, every durable event once and in order, the end last; with and without NATS."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from comfyfleet.execution.v1.event_pb2 import LiveUpdate, Preview
from comfyfleet.execution.v1.execution_service_pb2 import WatchJobResponse
from comfyfleet.execution.v1.job_pb2 import JOB_STATE_CANCELED, JOB_STATE_RUNNING, JOB_STATE_SUCCEEDED, Progress
from libs.blobs import BlobStore
from libs.bus import LocalBus
from libs.errors import NotFound, Unavailable
from libs.rpc.client import retry_unavailable
from libs.sql import Database
from services.execution.app import SCHEMA
from services.execution.domain import JobState
from services.execution.live import Live
from tests.support import servers
from tests.support.execution import Replicas, Tenant, replicas
from tests.support.execution_rows import Rows


async def test_a_watch_tells_the_state_then_every_event_then_ends(ann: Tenant, rows: Rows) -> None:
    job = await ann.submit()
    async with ann.watch(job.job_id) as updates:
        first = await anext(updates)
        assert first.job == await ann.get(job.job_id)
        await rows.move(job.job_id, JobState.RUNNING)
        await rows.log(job.job_id, "hello")
        await rows.move(job.job_id, JobState.SUCCEEDED)
        events = durable(await rest(updates))
    assert [event.event.sequence for event in events] == [2, 3, 4]
    assert events[0].event.status.state == JOB_STATE_RUNNING
    assert events[-1].event.status.state == JOB_STATE_SUCCEEDED


async def test_a_finished_job_is_its_own_end(ann: Tenant) -> None:
    job = await ann.submit()
    await ann.cancel(job.job_id)
    async with ann.watch(job.job_id) as updates:
        assert (await anext(updates)).job.state == JOB_STATE_CANCELED
        assert await rest(updates) == []


async def test_a_watch_resumes_after_any_sequence(ann: Tenant, rows: Rows) -> None:
    job = await ann.submit()
    for number in range(3):
        await rows.log(job.job_id, str(number))
    await rows.move(job.job_id, JobState.SUCCEEDED)
    for after in (0, 1, 3, 5, 99):
        async with ann.watch(job.job_id, after_sequence=after) as updates:
            await anext(updates)
            assert [update.event.sequence for update in await rest(updates)] == list(range(after + 1, 6))


async def test_a_cancel_reaches_a_watcher(ann: Tenant) -> None:
    job = await ann.submit()
    async with ann.watch(job.job_id) as updates:
        await anext(updates)
        await ann.cancel(job.job_id)
        last = (await rest(updates))[-1]
    assert last.event.status.state == JOB_STATE_CANCELED


async def test_lost_and_early_news_is_filled_from_the_table(ann: Tenant, rows: Rows) -> None:
    job = await ann.submit()
    async with ann.watch(job.job_id) as updates:
        await anext(updates)
        for number in range(1200):
            await rows.log(job.job_id, str(number), tell=number % 100 == 99)
        await rows.move(job.job_id, JobState.SUCCEEDED)
        events = durable(await rest(updates))
    assert [event.event.sequence for event in events] == list(range(2, 1203))


async def test_news_that_never_comes_is_found_in_the_table(place: Replicas, rows: Rows) -> None:
    ann = await place.tenant(await place.start(watch_table_seconds=0.1, watch_table_seconds_without_nats=0.1))
    job = await ann.submit()
    async with ann.watch(job.job_id) as updates:
        await anext(updates)
        await rows.move(job.job_id, JobState.RUNNING, tell=False)
        assert (await next_event(updates)).event.sequence == 2
        await rows.progress(job.job_id, 0.5)
        assert (await anext(updates)).progress.value == 0.5
        await rows.move(job.job_id, JobState.SUCCEEDED, tell=False)
        assert durable(await rest(updates))[-1].event.sequence == 3


async def test_progress_and_previews_are_the_latest_only(ann: Tenant, rows: Rows) -> None:
    job = await ann.submit()
    await rows.move(job.job_id, JobState.RUNNING)
    async with ann.watch(job.job_id, previews=True) as updates, ann.watch(job.job_id) as without:
        await anext(updates)
        await anext(without)
        for number in range(1, 501):
            await rows.live.publish(LiveUpdate(job_id=job.job_id, progress=Progress(value=number / 500)))
            picture = Preview(content_type="image/jpeg", data=bytes([number % 256]) * 1000)
            await rows.live.publish(LiveUpdate(job_id=job.job_id, preview=picture))
        seen = [await anext(updates)]
        while not (seen[-1].HasField("progress") and seen[-1].progress.value == 1):
            seen.append(await anext(updates))
        assert len(seen) < 100
        await rows.move(job.job_id, JobState.SUCCEEDED)
        assert any(update.HasField("preview") for update in [*seen, *await rest(updates)])
        assert not any(update.HasField("preview") for update in await rest(without))


async def test_a_late_watcher_gets_the_last_preview(ann: Tenant, rows: Rows) -> None:
    job = await ann.submit()
    await rows.move(job.job_id, JobState.RUNNING)
    async with ann.watch(job.job_id, previews=True) as early:
        await anext(early)
        await rows.live.publish(LiveUpdate(job_id=job.job_id, preview=Preview(data=b"picture")))
        assert (await anext(early)).preview.data == b"picture"
        async with ann.watch(job.job_id, previews=True) as late:
            await anext(late)
            assert (await anext(late)).preview.data == b"picture"


async def test_a_waiting_job_tells_its_turn(place: Replicas, nats_url: str) -> None:
    ann = await place.tenant(await place.start(nats_url=nats_url, watch_queue_seconds=0.05))
    ahead, job = await ann.submit(), await ann.submit()
    async with ann.watch(job.job_id) as updates:
        assert (await anext(updates)).job.queue_position == 1
        await ann.cancel(ahead.job_id)
        moved = await anext(updates)
    assert moved.queue.queue_position == 0
    assert moved.queue.waiting_reason.startswith("no_active_runner: ")


async def test_a_slow_reader_loses_nothing_durable_and_holds_up_nobody(ann: Tenant, rows: Rows) -> None:
    job = await ann.submit()
    async with ann.watch(job.job_id, previews=True) as slow, ann.watch(job.job_id) as quick:
        await anext(slow)
        await anext(quick)
        for number in range(600):
            await rows.log(job.job_id, "x" * 4000)
            picture = Preview(data=bytes([number % 256]) * 100_000)
            await rows.live.publish(LiveUpdate(job_id=job.job_id, preview=picture))
        await rows.move(job.job_id, JobState.SUCCEEDED)
        assert len(durable(await rest(quick))) == 601
        assert [update.event.sequence for update in durable(await rest(slow))] == list(range(2, 603))


async def test_watchers_on_another_replica_hear_of_it(place: Replicas, ann: Tenant, nats_url: str) -> None:
    other = await place.start(nats_url=nats_url)
    same_account = await place.tenant(other, ann.account_id)
    job = await ann.submit()
    async with same_account.watch(job.job_id) as updates:
        await anext(updates)
        await ann.cancel(job.job_id)
        assert (await rest(updates))[-1].event.status.state == JOB_STATE_CANCELED


async def test_a_foreign_or_unknown_job_cannot_be_watched(ann: Tenant, bob: Tenant) -> None:
    job = await bob.submit()
    for job_id in (job.job_id, str(uuid4())):
        with pytest.raises(NotFound):
            async with ann.watch(job_id) as updates:
                await anext(updates)


async def test_a_stopping_replica_ends_its_watches_so_that_they_resume(place: Replicas) -> None:
    staying, stopping = await place.start(), await place.start()
    ann = await place.tenant(stopping)
    job = await ann.submit()
    async with ann.watch(job.job_id) as updates:
        await anext(updates)
        stop = asyncio.create_task(place.stop(stopping))
        with pytest.raises(Unavailable):
            await rest(updates)
        await stop
    again = await place.tenant(staying, ann.account_id)
    await again.cancel(job.job_id)
    async with again.watch(job.job_id, after_sequence=1) as updates:
        await anext(updates)
        assert [update.event.sequence for update in await rest(updates)] == [2]


async def test_with_nats_down_and_up_again_a_watch_goes_on(place: Replicas, postgres_dsn: str, tmp_path: Path) -> None:
    async with servers.running_nats() as nats:
        app = await place.start(nats_url=nats.url, watch_table_seconds=60, watch_table_seconds_without_nats=0.1)
        ann = await place.tenant(app)
        async with Database.connect(postgres_dsn, SCHEMA) as database:
            deaf = Rows(database, BlobStore.open_url(tmp_path.as_uri()), Live(LocalBus()))
            job = await ann.submit()
            await deaf.move(job.job_id, JobState.RUNNING)
            async with ann.watch(job.job_id) as updates:
                await anext(updates)
                await nats.stop()
                await deaf.log(job.job_id, "while it is down")
                assert (await next_event(updates)).event.sequence == 3
                assert (await ann.submit()).job_id
                await nats.start()
                await ann.cancel(job.job_id)
                assert (await next_event(updates)).event.sequence == 4
                await deaf.move(job.job_id, JobState.CANCELED)
            async with ann.watch(job.job_id, after_sequence=0) as updates:
                await anext(updates)
                assert len(await rest(updates)) == 5


async def test_a_watch_outlives_a_restart_of_the_database(nats_url: str, tmp_path: Path) -> None:
    async with servers.running_postgres() as postgres, replicas(postgres.dsn, tmp_path) as place:
        ann = await place.tenant(await place.start(nats_url=nats_url, watch_table_seconds_without_nats=0.1))
        job = await ann.submit()
        async with ann.watch(job.job_id) as updates:
            await anext(updates)
            await postgres.stop()
            with pytest.raises(Unavailable):
                await ann.get(job.job_id)
            await postgres.start()
            await retry_unavailable(lambda: ann.cancel(job.job_id))
            assert (await rest(updates))[-1].event.status.state == JOB_STATE_CANCELED


async def rest(updates: AsyncIterator[WatchJobResponse]) -> list[WatchJobResponse]:
    """Everything up to the end of the stream, which must come."""
    async with asyncio.timeout(30):
        return [update async for update in updates]


async def next_event(updates: AsyncIterator[WatchJobResponse]) -> WatchJobResponse:
    """The next durable event."""
    async with asyncio.timeout(30):
        while not (update := await anext(updates)).HasField("event"):
            pass
    return update


def durable(updates: list[WatchJobResponse]) -> list[WatchJobResponse]:
    """The durable events among the updates."""
    return [update for update in updates if update.HasField("event")]
