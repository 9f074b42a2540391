"""This replica among the others: it says that it lives, and drives its fair share of the runners."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from uuid import UUID

import structlog

from libs.clock import Clock
from libs.errors import Unavailable
from services.execution.dispatch.fleet import FleetState
from services.execution.dispatch.runner import RunnerDriver
from services.execution.dispatch.settings import DispatchSettings
from services.execution.dispatch.share import fair_share, surplus
from services.execution.store.leases import LeaseStore

_log = structlog.get_logger(__name__)

MakeDriver = Callable[[UUID], RunnerDriver]


class Replica:
    """Holds the leases of this replica and runs one driver for each.

    The database's clock decides who holds a lease; without the database a driver goes on no longer than its
    lease is sure to last.
    """

    def __init__(
        self,
        store: LeaseStore,
        fleet: FleetState,
        clock: Clock,
        settings: DispatchSettings,
        make_driver: MakeDriver,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._lease_seconds = settings.lease_seconds
        self._make_driver = make_driver
        self._drivers: dict[UUID, RunnerDriver] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._confirmed = clock.monotonic()
        self._draining = False

    async def run(self) -> None:
        """Beat for ever. A driver that dies ends the loop: it never should."""
        try:
            while True:
                known = self._fleet.known()
                if not self._draining:
                    await self._beat()
                await self._pause(known)
                self._raise_failures()
        finally:
            await self._stop(list(self._tasks))

    async def drain(self) -> None:
        """Stop driving and leave what runs to the next replica, at once."""
        self._draining = True
        held = list(self._tasks)
        await self._stop(held)
        try:
            await self._store.release(held)
            await self._store.forget()
        except Unavailable:
            _log.warning("leases_not_released", held=len(held))

    async def _beat(self) -> None:
        asked = self._clock.monotonic()
        try:
            renewal = await self._store.renew(self._tasks)
            self._confirmed = asked
            await self._stop(set(self._tasks) - renewal.kept)
            await self._balance(renewal.replicas)
        except Unavailable:
            _log.warning("lease_not_renewed", held=len(self._tasks))
            if self._clock.monotonic() + self._lease_seconds / 3 > self._confirmed + self._lease_seconds:
                await self._stop(list(self._tasks))

    async def _balance(self, replicas: int) -> None:
        """Let go of what is gone or too much; take what is missing."""
        if not self._fleet.synced:
            return
        known = self._fleet.known()
        share = fair_share(len(known), replicas)
        await self._release([*self._idle(set(self._tasks) - known), *self._surplus(share)])
        wanted = share - len(self._tasks)
        if wanted > 0 and (missing := known - set(self._tasks)):
            free = await self._store.free(missing)
            self._start(await self._store.take(sorted(free)[:wanted]))

    def _surplus(self, share: int) -> list[UUID]:
        return surplus(self._idle(self._tasks), len(self._tasks), share)

    def _idle(self, runner_ids: Iterable[UUID]) -> list[UUID]:
        return [runner_id for runner_id in runner_ids if self._drivers[runner_id].idle]

    async def _release(self, runner_ids: Collection[UUID]) -> None:
        if runner_ids:
            await self._stop(runner_ids)
            await self._store.release(list(runner_ids))

    def _start(self, runner_ids: Iterable[UUID]) -> None:
        for runner_id in runner_ids:
            driver = self._drivers[runner_id] = self._make_driver(runner_id)
            self._tasks[runner_id] = asyncio.create_task(driver.run(), name=f"runner {runner_id}")
            _log.info("lease_taken", runner_id=str(runner_id))

    async def _stop(self, runner_ids: Collection[UUID]) -> None:
        tasks = [self._tasks.pop(runner_id) for runner_id in set(runner_ids) if runner_id in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for runner_id in runner_ids:
            if self._drivers.pop(runner_id, None):
                _log.info("lease_left", runner_id=str(runner_id))

    async def _pause(self, known: frozenset[UUID]) -> None:
        """A third of the lease, or less when runners come or go."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._lease_seconds / 3):
                while self._fleet.known() == known:
                    self._fleet.changed.clear()
                    await self._fleet.changed.wait()

    def _raise_failures(self) -> None:
        for task in self._tasks.values():
            if task.done():
                task.result()
