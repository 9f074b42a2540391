"""A whole fleet in one process: simulated runners, a registry, replicas of the service, and somebody with jobs."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from comfyfleet.execution.v1 import job_pb2
from deploy.simulator.app import Simulator, SimulatorSettings, simulating
from libs.testing import eventually
from services.execution.app import Execution, build
from tests.support.execution import Tenant, settings, tenant
from tests.support.replica_process import ReplicaProcess, replica_process
from tests.support.standing_registry import StandingRegistry, standing_registry

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELING, CANCELED = range(1, 7)
TERMINAL = (SUCCEEDED, FAILED, CANCELED)

# Faster than in production, so that a test of patience needs little of it.
QUICK: Mapping[str, Any] = {
    "lease_seconds": 2,
    "runner_lost_seconds": 2,
    "submit_settle_seconds": 0.5,
    "history_poll_seconds": 0.5,
    "cancel_seconds": 2,
}


class World:
    """Start what the test needs; everything ends with it."""

    def __init__(
        self, stack: AsyncExitStack, registry: StandingRegistry, dsn: str, nats_url: str, folder: Path
    ) -> None:
        self._stack = stack
        self._dsn = dsn
        self._nats_url = nats_url
        self.folder = folder
        self.registry = registry
        self.account_id = uuid4()
        self.simulators: dict[UUID, Simulator] = {}

    async def runner(self, version: str = "0.33.0", **more: Any) -> Simulator:
        """A simulated runner that is registered."""
        simulator = await self._stack.enter_async_context(simulating(SimulatorSettings(version=version)))
        runner_id = self.registry.add(self.account_id, simulator.endpoint, **more)
        self.simulators[runner_id] = simulator
        return simulator

    def settings(self, **more: Any) -> dict[str, Any]:
        """What a replica in this world is told."""
        return {**QUICK, "registry_address": self.registry.address, "nats_url": self._nats_url, **more}

    async def replica(self, **more: Any) -> tuple[Execution, Tenant]:
        """A replica, and our account on it."""
        app = build(settings(self._dsn, self.folder, **self.settings(**more)))
        await self._stack.enter_async_context(app.running())
        return app, await self._stack.enter_async_context(tenant(app.address, self.account_id))

    async def process(self, **more: Any) -> tuple[ReplicaProcess, Tenant]:
        """A replica as a process of its own, and our account on it."""
        running = replica_process(self._dsn, self.folder, self.account_id, self.settings(**more))
        return await self._stack.enter_async_context(running)

    def executions(self) -> Counter[str]:
        """How often each prompt was started, on all runners together."""
        counted: Counter[str] = Counter()
        for simulator in self.simulators.values():
            counted.update(simulator.executions)
        return counted

    async def enter(self, resource: Any) -> Any:
        """Something else that ends with the test."""
        return await self._stack.enter_async_context(resource)


@asynccontextmanager
async def world(dsn: str, nats_url: str, folder: Path) -> AsyncIterator[World]:
    """An empty world."""
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(standing_registry())
        yield World(stack, registry, dsn, nats_url, folder)


def picture(seed: int = 0) -> dict[str, Any]:
    """A graph that is over at once."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": seed}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "out"}},
    }


def slow_picture(seconds: float, seed: int = 0, steps: int = 20) -> dict[str, Any]:
    """A graph that takes its time, in steps."""
    sampler = {"image": ["1", 0], "seconds": seconds, "steps": steps, "seed": seed}
    return {
        **picture(seed),
        "2": {"class_type": "SimSampler", "inputs": sampler},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "out"}},
    }


async def ended(someone: Tenant, job_id: str, within: float = 20) -> job_pb2.Job:
    """The job, once it is over."""

    async def over() -> job_pb2.Job | None:
        job = await someone.get(job_id)
        return job if job.state in TERMINAL else None

    job = await eventually(over, within=within)
    assert job is not None
    return job


async def in_state(someone: Tenant, job_id: str, state: int, within: float = 20) -> job_pb2.Job:
    """The job, once it is in this state."""

    async def there() -> job_pb2.Job | None:
        job = await someone.get(job_id)
        assert job.state not in TERMINAL or job.state == state, job
        return job if job.state == state else None

    job = await eventually(there, within=within)
    assert job is not None
    return job


async def all_ended(someone: Tenant, job_ids: Sequence[str], within: float = 60) -> list[job_pb2.Job]:
    """All of them, once they are over."""
    return [await ended(someone, job_id, within) for job_id in job_ids]
