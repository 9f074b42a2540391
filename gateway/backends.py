"""The services behind the gateway, as typed stubs over one channel each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc.aio

from comfyfleet.execution.v1.asset_service_pb2_grpc import AssetServiceStub
from comfyfleet.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import RunnerRegistryServiceStub

if TYPE_CHECKING:
    # mypy-grpc types one stub class for both stacks and names the asyncio variant apart.
    from comfyfleet.execution.v1.asset_service_pb2_grpc import AssetServiceAsyncStub
    from comfyfleet.execution.v1.execution_service_pb2_grpc import ExecutionServiceAsyncStub
    from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import RunnerRegistryServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Backends:
    """What the endpoints call."""

    registry: "RunnerRegistryServiceAsyncStub"
    execution: "ExecutionServiceAsyncStub"
    assets: "AssetServiceAsyncStub"

    @classmethod
    def over(cls, registry: grpc.aio.Channel, execution: grpc.aio.Channel) -> "Backends":
        """Stubs over open channels."""
        return cls(RunnerRegistryServiceStub(registry), ExecutionServiceStub(execution), AssetServiceStub(execution))
