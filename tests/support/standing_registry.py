"""A runner registry of one method, whose list a test writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import grpc
import grpc.aio

from comfyfleet.runner_registry.v1 import runner_pb2
from comfyfleet.runner_registry.v1 import runner_registry_service_pb2 as wire

_SERVICE = "comfyfleet.runner_registry.v1.RunnerRegistryService"


class StandingRegistry:
    """WatchRunners over a list of changes."""

    def __init__(self) -> None:
        self.address = ""
        self._changes: list[wire.WatchRunnersResponse] = []
        self._changed = asyncio.Event()

    def add(self, account_id: UUID, endpoint: str, runner_id: UUID | None = None, **more: Any) -> UUID:
        """Register a runner that is active and online, or change the one with this id."""
        runner_id = runner_id or uuid4()
        more.setdefault("state", runner_pb2.RUNNER_STATE_ACTIVE)
        health = runner_pb2.RunnerHealth(state=more.pop("health", runner_pb2.RUNNER_HEALTH_STATE_ONLINE))
        runner = runner_pb2.Runner(
            runner_id=str(runner_id),
            account_id=str(account_id),
            endpoint=endpoint,
            runner_type=runner_pb2.RUNNER_TYPE_OWN,
            health=health,
            **more,
        )
        self._put(wire.WatchRunnersResponse(runner=runner))
        return runner_id

    def remove(self, runner_id: UUID) -> None:
        """Delete a runner."""
        self._put(wire.WatchRunnersResponse(deleted_runner_id=str(runner_id)))

    async def watch_runners(
        self, request: wire.WatchRunnersRequest, _: Any
    ) -> AsyncIterator[wire.WatchRunnersResponse]:
        """Everything after a revision, then everything new."""
        seen, synced = request.after_revision, False
        while True:
            while seen < len(self._changes):
                seen += 1
                yield self._changes[seen - 1]
            if not synced:
                yield wire.WatchRunnersResponse(synced=True, revision=seen)
                synced = True
                continue
            changed = self._changed
            await changed.wait()

    def handlers(self) -> dict[str, "grpc.RpcMethodHandler[Any, Any]"]:
        """The methods that it has."""
        watch = grpc.unary_stream_rpc_method_handler(
            self.watch_runners,
            wire.WatchRunnersRequest.FromString,
            wire.WatchRunnersResponse.SerializeToString,
        )
        return {"WatchRunners": watch}

    def _put(self, change: wire.WatchRunnersResponse) -> None:
        change.revision = len(self._changes) + 1
        self._changes.append(change)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


@asynccontextmanager
async def standing_registry() -> AsyncIterator[StandingRegistry]:
    """A registry on a free port."""
    registry = StandingRegistry()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, registry.handlers())])
    registry.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield registry
    finally:
        await server.stop(None)
