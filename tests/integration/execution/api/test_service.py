"""The service as a process among others: health, reflection, two replicas that start at once."""

import asyncio
from pathlib import Path

from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from libs.rpc.client import open_channel
from libs.testing import eventually
from tests.support import servers
from tests.support.execution import Replicas, replicas

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(address: str, name: str = "") -> int:
    """What the service says of itself, or of one thing it needs."""
    async with open_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return int((await stub.Check(health_pb2.HealthCheckRequest(service=name))).status)


async def test_health_needs_the_database_and_only_tells_of_nats(tmp_path: Path) -> None:
    async with (
        servers.running_postgres() as postgres,
        servers.running_nats() as nats,
        replicas(postgres.dsn, tmp_path) as place,
    ):
        address = (await place.start(nats_url=nats.url)).address
        assert [await health(address, name) for name in ("", "database", "nats", "blobs")] == [SERVING] * 4
        await nats.stop()

        async def nats_is_missed() -> bool:
            return bool(await health(address, "nats") == NOT_SERVING)

        await eventually(nats_is_missed)
        assert await health(address) == SERVING
        await postgres.stop()

        async def database_is_missed() -> bool:
            return bool(await health(address) == NOT_SERVING)

        await eventually(database_is_missed)
        await postgres.start()

        async def all_is_well() -> bool:
            return bool(await health(address) == SERVING)

        await eventually(all_is_well)


async def test_the_services_can_be_listed(place: Replicas) -> None:
    app = await place.start()
    async with open_channel(app.address) as channel:
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        answer = await anext(aiter(stub.ServerReflectionInfo(asked)))
    names = {service.name for service in answer.list_services_response.service}
    assert {"comfyfleet.execution.v1.ExecutionService", "comfyfleet.execution.v1.AssetService"} <= names


async def test_replicas_may_start_at_once_and_answer_for_each_other(place: Replicas) -> None:
    one, two = await asyncio.gather(place.start(), place.start())
    ann = await place.tenant(one)
    job = await ann.submit(request_id="key")
    same = await place.tenant(two, ann.account_id)
    assert (await same.submitted(request_id="key")).job == job
    asset = (await ann.upload(b"bytes")).asset
    assert (await same.download(asset.asset_id))[1] == b"bytes"
