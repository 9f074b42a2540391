"""Following the runner registry: its runners become ours to dispatch to."""

import random
from uuid import UUID

import structlog
from grpc.aio import Channel

from comfyfleet.runner_registry.v1 import runner_pb2
from comfyfleet.runner_registry.v1 import runner_registry_service_pb2 as wire
from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import RunnerRegistryServiceStub
from libs.clock import Clock
from libs.errors import ServiceError
from libs.rpc.client import stream
from services.execution.dispatch.fleet import FleetState, Runner

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_log = structlog.get_logger(__name__)


class RegistryFollower:
    """Keeps the fleet's state in step with WatchRunners, across restarts of the registry."""

    def __init__(self, channel: Channel, fleet: FleetState, clock: Clock) -> None:
        self._stub = RunnerRegistryServiceStub(channel)
        self._fleet = fleet
        self._clock = clock
        self._revision = 0
        self._snapshot: set[UUID] | None = set()
        self._pause = _FIRST_PAUSE

    async def run(self) -> None:
        """Follow for ever; connect again after every end."""
        while True:
            try:
                await self._follow()
            except ServiceError as error:
                _log.warning("registry_unreachable", reason=error.reason)
            await self._clock.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311 - spreads reconnects
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    async def _follow(self) -> None:
        if self._revision == 0:
            self._snapshot = set()
        request = wire.WatchRunnersRequest(after_revision=self._revision)
        async with stream(self._stub.WatchRunners(request)) as messages:
            async for message in messages:
                self._take(message)
                self._pause = _FIRST_PAUSE

    def _take(self, message: wire.WatchRunnersResponse) -> None:
        change = message.WhichOneof("change")
        if change == "runner":
            self._put(message.runner)
        elif change == "deleted_runner_id":
            self._fleet.remove(UUID(message.deleted_runner_id))
        elif change == "synced":
            self._fleet.mark_synced(None if self._snapshot is None else frozenset(self._snapshot))
            self._snapshot = None
        # A revision inside a snapshot says nothing about what is still to come.
        if self._snapshot is None:
            self._revision = max(self._revision, message.revision)

    def _put(self, message: runner_pb2.Runner) -> None:
        runner = _runner(message)
        self._fleet.put(runner)
        if self._snapshot is not None:
            self._snapshot.add(runner.runner_id)


def _runner(message: runner_pb2.Runner) -> Runner:
    health = message.health.state
    return Runner(
        runner_id=UUID(message.runner_id),
        account_id=UUID(message.account_id) if message.account_id else None,
        runner_type=runner_pb2.RunnerType.Name(message.runner_type).removeprefix("RUNNER_TYPE_").lower(),
        endpoint=message.endpoint,
        tags=frozenset(message.tags),
        active=message.state == runner_pb2.RUNNER_STATE_ACTIVE,
        online=health == runner_pb2.RUNNER_HEALTH_STATE_ONLINE,
        offline=health == runner_pb2.RUNNER_HEALTH_STATE_OFFLINE,
        headers=dict(message.headers),
    )
