"""WatchRunners and the probes, with two replicas over one database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from comfyfleet.runner_registry.v1 import runner_pb2
from comfyfleet.runner_registry.v1 import runner_registry_service_pb2 as pb
from libs.rpc.client import stream
from libs.testing import eventually
from libs.web import listening
from tests.support import keys
from tests.support.registry import RegistryPeer, registry_stub, running_registry


class Peer:
    """As much of ComfyUI as a probe looks at."""

    def __init__(self) -> None:
        self.probes = 0
        self.remaining = 0
        self.well = True

    async def prompt(self, _: Request) -> JSONResponse:
        self.probes += 1
        return JSONResponse({"exec_info": {"queue_remaining": self.remaining}}, 200 if self.well else 500)

    async def stats(self, _: Request) -> JSONResponse:
        return JSONResponse({"system": {"comfyui_version": "0.33.0"}, "devices": []})

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/prompt", self.prompt), Route("/system_stats", self.stats)])


async def next_message(call: Any) -> pb.WatchRunnersResponse:
    message: pb.WatchRunnersResponse = await asyncio.wait_for(anext(call), 10)
    return message


async def until_synced(call: Any) -> list[pb.WatchRunnersResponse]:
    messages = [await next_message(call)]
    while not messages[-1].synced:
        messages.append(await next_message(call))
    return messages


@asynccontextmanager
async def account_stub(address: str) -> AsyncIterator[Any]:
    created = await RegistryPeer(address).account()
    async with registry_stub(address, keys.tenant(created.account.account_id)) as stub:
        yield stub


async def test_a_watch_gives_the_snapshot_then_changes_and_resumes(postgres_dsn: str) -> None:
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(running_registry(postgres_dsn, probe_interval_seconds=600))
        stub = await stack.enter_async_context(account_stub(address))
        runner = (await stub.CreateRunner(pb.CreateRunnerRequest(name="a", endpoint="http://127.0.0.1:9"))).runner
        async with stream(stub.WatchRunners(pb.WatchRunnersRequest())) as call:
            updates = aiter(call)
            first = await until_synced(updates)
            assert [message.runner.name for message in first[:-1]] == ["a"]
            await stub.UpdateRunner(pb.UpdateRunnerRequest(runner_id=runner.runner_id, name="b"))
            change = await next_message(updates)
            assert (change.runner.name, change.revision > first[-1].revision) == ("b", True)
        await stub.DeleteRunner(pb.DeleteRunnerRequest(runner_id=runner.runner_id))
    async with running_registry(postgres_dsn) as address, registry_stub(address, keys.service()) as stub:
        async with stream(stub.WatchRunners(pb.WatchRunnersRequest(after_revision=change.revision))) as call:
            missed = await until_synced(aiter(call))
            assert [message.deleted_runner_id for message in missed[:-1]] == [runner.runner_id]
        async with stream(stub.WatchRunners(pb.WatchRunnersRequest())) as call:
            assert len(await until_synced(aiter(call))) == 1  # a fresh watch never hears of what is gone


async def test_tenants_watch_their_own_and_services_all(postgres_dsn: str) -> None:
    async with (
        running_registry(postgres_dsn, probe_interval_seconds=600) as address,
        account_stub(address) as mine,
        account_stub(address) as theirs,
        registry_stub(address, keys.service()) as service,
    ):
        request = pb.CreateRunnerRequest(name="a", endpoint="http://127.0.0.1:9", headers={"X-Key": "k"})
        await mine.CreateRunner(request)
        for stub, wanted in ((mine, [{"X-Key": "k"}]), (theirs, []), (service, [{"X-Key": "k"}])):
            async with stream(stub.WatchRunners(pb.WatchRunnersRequest())) as call:
                seen = await until_synced(aiter(call))
                assert [dict(message.runner.headers) for message in seen[:-1]] == wanted


async def test_a_watch_on_one_replica_hears_of_changes_on_the_other(postgres_dsn: str, nats_url: str) -> None:
    async with (
        running_registry(postgres_dsn, nats_url) as one,
        running_registry(postgres_dsn, nats_url) as two,
        registry_stub(two, keys.service()) as watching,
        account_stub(one) as stub,
        stream(watching.WatchRunners(pb.WatchRunnersRequest())) as call,
    ):
        updates = aiter(call)
        await until_synced(updates)
        await stub.CreateRunner(pb.CreateRunnerRequest(name="late", endpoint="http://127.0.0.1:9"))
        assert (await next_message(updates)).runner.name == "late"


async def test_health_follows_the_server_through_two_replicas(postgres_dsn: str) -> None:
    peer = Peer()
    patient: dict[str, Any] = {"probe_offline_after": 2, "probe_offline_after_busy": 6}
    async with (
        listening(peer.app(), "127.0.0.1:0") as endpoint,
        running_registry(postgres_dsn, **patient) as one,
        running_registry(postgres_dsn, **patient),
        account_stub(one) as stub,
    ):
        request = pb.CreateRunnerRequest(name="a", endpoint=f"http://{endpoint}")
        runner_id = (await stub.CreateRunner(request)).runner.runner_id

        async def health() -> runner_pb2.RunnerHealth:
            answer = await stub.GetRunner(pb.GetRunnerRequest(runner_id=runner_id))
            seen: runner_pb2.RunnerHealth = answer.runner.health
            return seen

        async def is_in(state: runner_pb2.RunnerHealthState.ValueType) -> bool:
            return (await health()).state == state

        await eventually(lambda: is_in(runner_pb2.RUNNER_HEALTH_STATE_ONLINE))
        assert (await health()).comfyui_version == "0.33.0"
        peer.remaining = 2
        await eventually(lambda: _equals(health, "queue_remaining", 2))
        peer.well = False
        await eventually(lambda: is_in(runner_pb2.RUNNER_HEALTH_STATE_OFFLINE), within=20)
        assert (await health()).misses >= 6  # it was sampling, so it was given more time
        assert (await health()).failure
        peer.well, peer.remaining = True, 0
        await eventually(lambda: is_in(runner_pb2.RUNNER_HEALTH_STATE_ONLINE))
        assert (await health()).misses == 0


async def _equals(health: Any, name: str, value: int) -> bool:
    return bool(getattr(await health(), name) == value)


async def test_an_absent_server_goes_offline_and_is_told_to_watchers(postgres_dsn: str) -> None:
    async with (
        running_registry(postgres_dsn) as address,
        account_stub(address) as stub,
        stream(stub.WatchRunners(pb.WatchRunnersRequest())) as call,
    ):
        updates = aiter(call)
        await until_synced(updates)
        await stub.CreateRunner(pb.CreateRunnerRequest(name="gone", endpoint="http://127.0.0.1:9"))
        states = []
        while runner_pb2.RUNNER_HEALTH_STATE_OFFLINE not in states:
            states.append((await next_message(updates)).runner.health.state)
        assert states[0] == runner_pb2.RUNNER_HEALTH_STATE_UNKNOWN
