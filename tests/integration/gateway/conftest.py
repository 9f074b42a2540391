"""One fleet for the gateway's tests."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from deploy.simulator.app import SimulatorSettings
from libs.testing import eventually
from tests.support.stack import Account, Stack, running_stack


@dataclass(frozen=True, slots=True)
class Fleet:
    """A stack, and two accounts that must not see each other."""

    stack: Stack
    ada: Account
    eve: Account


@pytest.fixture(scope="module")
async def fleet(module_dsn: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    limits = {"open_jobs_per_account": 5, "upload_max_bytes": 3 << 20}
    gateway = {"max_upload_bytes": 4 << 20, "streams_per_account": 3, "heartbeat_seconds": 0.2}
    async with running_stack(
        module_dsn,
        nats_url,
        tmp_path_factory.mktemp("blobs"),
        simulators=[SimulatorSettings()],
        execution=limits,
        gateway=gateway,
    ) as stack:
        ada, eve = await stack.account("Ada"), await stack.account("Eve")
        await stack.register(ada, stack.simulators[0])
        await until_known(stack, ada)
        yield Fleet(stack, ada, eve)


async def until_known(stack: Stack, account: Account) -> None:
    """Until the fleet knows what its runner can do: before that, unknown node classes are taken on trust."""
    graph = {"1": {"class_type": "Nowhere", "inputs": {}}}
    async with stack.client(account.token) as client:

        async def refused() -> bool:
            answer = await client.post("/api/v2/jobs", json={"workflow": graph})
            if answer.status_code == 201:
                await client.post(answer.json()["urls"]["cancel"])
            return answer.status_code == 422

        await eventually(refused)


@pytest.fixture
async def ada(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    async with fleet.stack.client(fleet.ada.token) as client:
        yield client


@pytest.fixture
async def eve(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    async with fleet.stack.client(fleet.eve.token) as client:
        yield client
