"""Which idle runner looks when a job comes, and what a claim asks for."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

from libs.bus import LocalBus
from libs.testing import FakeClock, eventually
from services.execution.dispatch.backlog import Backlog
from services.execution.dispatch.fleet import FleetState, Runner
from services.execution.dispatch.settings import DispatchSettings
from services.execution.domain import Selector
from services.execution.live import Live
from services.execution.store.catalogues import Catalogue

ANN = uuid4()


class StandingTable:
    """What the database says waits."""

    def __init__(self) -> None:
        self.waiting: list[Selector] = []

    async def waiting_selectors(self) -> Sequence[Selector]:
        """What the test wrote."""
        return self.waiting


class Scene:
    """A backlog and the runners of one account."""

    def __init__(self) -> None:
        self.table = StandingTable()
        self.fleet = FleetState()
        self.clock = FakeClock()
        self.backlog = Backlog(self.table, self.fleet, Live(LocalBus()), self.clock, DispatchSettings())

    def add(self, *, account_id: UUID = ANN, tags: frozenset[str] = frozenset(), active: bool = True) -> UUID:
        """A runner."""
        runner = Runner(uuid4(), account_id, "own", "http://r", tags, active, online=True, offline=False, headers={})
        self.fleet.put(runner)
        return runner.runner_id

    def digests(self, runner_id: UUID) -> list[bytes]:
        """What a claim for the runner would name."""
        view = self.fleet.view(runner_id)
        assert view is not None
        return self.backlog.digests(view)

    def rest(self, runner_id: UUID) -> "asyncio.Task[None]":
        """The runner waits for work."""
        return asyncio.create_task(self.backlog.rest(runner_id, self.backlog.version, 60))


def selector(*tags: str, classes: tuple[str, ...] = ()) -> Selector:
    return Selector(ANN, "pro", tags, None, classes)


async def test_a_claim_names_what_the_runner_satisfies_and_nothing_else() -> None:
    scene = Scene()
    plain, tagged = selector(), selector("gpu")
    await scene.backlog.job_queued(plain)
    await scene.backlog.job_queued(tagged)
    assert scene.digests(scene.add(tags=frozenset({"cpu"}))) == [plain.digest()]
    assert sorted(scene.digests(scene.add())) == sorted([plain.digest(), tagged.digest()])
    assert scene.digests(scene.add(account_id=uuid4())) == []
    assert scene.digests(scene.add(active=False)) == []


async def test_what_is_known_of_a_runner_changes_the_answer() -> None:
    scene = Scene()
    await scene.backlog.job_queued(selector(classes=("KSampler",)))
    runner_id = scene.add()
    assert len(scene.digests(runner_id)) == 1
    scene.fleet.learn(Catalogue(runner_id, "http://r", "", frozenset({"SaveImage"})))
    assert scene.digests(runner_id) == []
    scene.fleet.learn(Catalogue(runner_id, "http://r", "", frozenset({"SaveImage", "KSampler"})))
    assert len(scene.digests(runner_id)) == 1


async def test_one_job_wakes_one_runner() -> None:
    scene = Scene()
    resting = [scene.rest(scene.add()) for _ in range(3)]
    await asyncio.sleep(0)
    await scene.backlog.job_queued(selector())
    await eventually(lambda: sum(task.done() for task in resting) == 1)
    await scene.backlog.job_queued(selector())
    await eventually(lambda: sum(task.done() for task in resting) == 2)
    for task in resting:
        task.cancel()


async def test_runners_that_cannot_take_it_sleep_on() -> None:
    scene = Scene()
    stranger = scene.rest(scene.add(account_id=uuid4()))
    await asyncio.sleep(0)
    await scene.backlog.job_queued(selector())
    await asyncio.sleep(0)
    assert not stranger.done()
    stranger.cancel()


async def test_a_job_that_comes_between_looking_and_resting_is_not_missed() -> None:
    scene = Scene()
    runner_id, seen = scene.add(), scene.backlog.version
    await scene.backlog.job_queued(selector())
    await scene.backlog.rest(runner_id, seen, 60)


async def test_the_table_corrects_what_wake_ups_told() -> None:
    scene = Scene()
    runner_id = scene.add()
    await scene.backlog.job_queued(selector("gone"))
    scene.table.waiting = [selector("there")]
    await scene.backlog.refresh()
    assert scene.digests(runner_id) == [selector("there").digest()]


async def test_the_table_wakes_whoever_slept_through_a_lost_wake_up() -> None:
    scene = Scene()
    resting = scene.rest(scene.add())
    await asyncio.sleep(0)
    scene.table.waiting = [selector()]
    await scene.backlog.refresh()
    await asyncio.wait_for(resting, 5)
