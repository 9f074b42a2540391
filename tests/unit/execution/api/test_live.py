"""News between replicas: what they hear, what they keep, what they never hold for long."""

from uuid import UUID, uuid4

from comfyfleet.execution.v1.event_pb2 import LiveUpdate, Preview
from comfyfleet.execution.v1.job_pb2 import Progress
from libs.bus import LocalBus
from libs.clock import SystemClock
from libs.testing import FakeClock
from services.execution import convert
from services.execution.domain import JobState, Requirements, Selector
from services.execution.extra_data import ExtraData
from services.execution.live import LIVE, QUEUED, Live, PreviewCache

JOB = uuid4()


async def two_replicas() -> tuple[LocalBus, Live, Live]:
    """Two replicas on one bus."""
    bus = LocalBus()
    one, two = Live(bus), Live(bus)
    await one.start()
    await two.start()
    return bus, one, two


async def test_every_replica_hears_once() -> None:
    _, one, two = await two_replicas()
    with one.follow(JOB) as here, two.follow(JOB) as there:
        await one.publish(LiveUpdate(job_id=str(JOB), progress=Progress(value=0.5)))
        assert [update.progress.value for update in here.take()] == [0.5]
        assert [update.progress.value for update in there.take()] == [0.5]


async def test_without_a_bus_a_replica_hears_itself() -> None:
    bus, one, _ = await two_replicas()
    bus.connected = False
    with one.follow(JOB) as here:
        await one.publish(LiveUpdate(job_id=str(JOB), progress=Progress(value=0.5)))
        assert len(here.take()) == 1


async def test_wake_ups_reach_every_replica() -> None:
    _, one, two = await two_replicas()
    heard: list[Selector | UUID] = []

    async def hear(what: Selector | UUID) -> None:
        heard.append(what)

    for live in (one, two):
        live.subscribe_queued(hear)
        live.subscribe_canceled(hear)
        live.subscribe_ended(hear)
    selector = Selector.of(uuid4(), "free", Requirements(("a",)), frozenset({"A"}))
    await one.wake_dispatch(selector)
    await one.job_canceled(JOB)
    ended = convert.status_event(JobState.CANCELED)
    await one.publish(LiveUpdate(job_id=str(JOB), event=ended))
    assert heard == [selector, selector, JOB, JOB, JOB, JOB]


async def test_a_handler_that_fails_stops_nothing() -> None:
    _, one, two = await two_replicas()
    heard: list[UUID] = []

    async def fail(_: UUID) -> None:
        raise RuntimeError

    async def hear(job_id: UUID) -> None:
        heard.append(job_id)

    for live in (one, two):
        live.subscribe_canceled(fail)
        live.subscribe_canceled(hear)
    await one.job_canceled(JOB)
    assert heard == [JOB, JOB]


async def test_noise_on_the_bus_does_no_harm() -> None:
    bus, one, _ = await two_replicas()
    for subject in (LIVE, QUEUED):
        await bus.publish(subject, b"")
        await bus.publish(subject, b"\xff" * 40)
    with one.follow(JOB) as here:
        assert here.take() == []


async def test_mailboxes_hold_no_pictures_and_the_cache_forgets_the_ended() -> None:
    _, one, two = await two_replicas()
    with two.follow(JOB) as there:
        await one.publish(LiveUpdate(job_id=str(JOB), preview=Preview(data=b"picture")))
        assert [update.preview.data for update in there.take()] == [b""]
    kept = two.preview(JOB)
    assert kept is not None
    assert kept.data == b"picture"
    await one.publish(LiveUpdate(job_id=str(JOB), event=convert.status_event(JobState.SUCCEEDED)))
    assert two.preview(JOB) is None


def test_the_preview_cache_is_bounded_by_bytes() -> None:
    cache = PreviewCache(25)
    for name in ("a", "b", "a", "c"):
        cache.put(name, Preview(data=b"x" * 10))
    assert cache.get("b") is None
    assert cache.get("a") is not None
    cache.put("d", Preview(data=b"x" * 100))
    assert [cache.get(name) for name in "abcd"] == [None] * 4


async def extra_data_of_two(clock: FakeClock) -> tuple[LocalBus, ExtraData, ExtraData]:
    """What two replicas keep."""
    bus = LocalBus()
    one, two = (ExtraData(bus, clock, max_jobs=2, keep_seconds=100) for _ in range(2))
    await one.start()
    await two.start()
    return bus, one, two


async def test_extra_data_is_found_on_any_replica() -> None:
    _, one, two = await extra_data_of_two(FakeClock())
    one.put(JOB, {"api_key_comfy_org": "secret"})
    assert await one.get(JOB) == {"api_key_comfy_org": "secret"}
    assert await two.get(JOB) == {"api_key_comfy_org": "secret"}


async def test_extra_data_is_forgotten_with_its_job_its_time_or_its_room() -> None:
    clock = FakeClock()
    _, one, two = await extra_data_of_two(clock)
    one.put(JOB, {"api_key_comfy_org": "secret"})
    await one.forget(JOB)
    assert await two.get(JOB, wait_seconds=0.01) is None
    jobs = [uuid4() for _ in range(3)]
    for job_id in jobs:
        one.put(job_id, {"api_key_comfy_org": "secret"})
    assert await one.get(jobs[0], wait_seconds=0.01) is None
    await clock.advance(101)
    assert await one.get(jobs[2], wait_seconds=0.01) is None


async def test_extra_data_never_shows_in_a_repr() -> None:
    keeper = ExtraData(LocalBus(), SystemClock(), max_jobs=2, keep_seconds=100)
    keeper.put(JOB, {"api_key_comfy_org": "secret"})
    assert "secret" not in repr(vars(keeper))
