"""Health of runners, as the probes of the registry see it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from comfyfleet.runner_registry.v1 import runner_registry_service_pb2 as pb
from comfyfleet.runner_registry.v1.runner_pb2 import Runner, RunnerHealth, RunnerHealthState
from gateway.cli.credentials import RegistryConnection
from gateway.cli.errors import CommandFailed
from gateway.cli.registry import calling

if TYPE_CHECKING:
    from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import RunnerRegistryServiceAsyncStub


def health_of(target: RegistryConnection) -> Mapping[str, dict[str, Any]]:
    """Health by runner id; empty when the registry does not say, for it is an extra."""
    try:
        return {runner.runner_id: described(runner.health) for runner in calling(target, _all)}
    except CommandFailed:
        return {}


async def _all(stub: "RunnerRegistryServiceAsyncStub") -> list[Runner]:
    found: list[Runner] = []
    page = ""
    while True:
        answer = await stub.ListRunners(pb.ListRunnersRequest(page_size=500, page_token=page))
        found += answer.runners
        page = answer.next_page_token
        if not page:
            return found


def described(health: RunnerHealth) -> dict[str, Any]:
    """Health in plain words; latency in milliseconds."""
    answered = health.HasField("last_answer_time")
    return {
        "state": RunnerHealthState.Name(health.state).removeprefix("RUNNER_HEALTH_STATE_").lower(),
        "comfyui_version": health.comfyui_version,
        "queue_remaining": health.queue_remaining,
        "latency_ms": round(health.latency.ToNanoseconds() / 1e6, 1) if answered else None,
        "last_answer_at": health.last_answer_time.ToJsonString() if answered else None,
        "failure": health.failure,
    }
