"""The whole fleet inside the test process: registry, execution, gateway and simulated runners on real sockets."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from deploy.simulator.app import Simulator, SimulatorSettings, simulating
from gateway.app import build as build_gateway
from gateway.settings import GatewaySettings
from services.execution.app import build as build_execution
from services.execution.settings import ExecutionSettings
from tests.support import keys
from tests.support.registry import RegistryPeer, running_registry


@dataclass(frozen=True, slots=True)
class Account:
    """An account with its credentials."""

    account_id: str
    token: str
    token_one: str
    token_two: str


@dataclass(slots=True)
class Stack:
    """Addresses of everything, and the peers to talk to."""

    url: str
    registry: RegistryPeer
    executions: list[str]
    simulators: list[Simulator] = field(default_factory=list)

    def client(self, token: str, **options: Any) -> httpx.AsyncClient:
        """An HTTP client of the gateway."""
        return httpx.AsyncClient(
            base_url=self.url, headers={"authorization": f"Bearer {token}"}, timeout=20, trust_env=False, **options
        )

    async def account(self, name: str = "Ada", tier: str = "enterprise") -> Account:
        """A new account."""
        created = await self.registry.account(name, tier)
        return Account(created.account.account_id, created.token, created.token_one, created.token_two)

    async def register(self, account: Account, simulator: Simulator, **more: Any) -> str:
        """Register a simulated runner; returns its id."""
        async with self.client(account.token) as client:
            body = {"name": "sim", "endpoint": simulator.endpoint, **more}
            answer = await client.post("/v1/runner", json=body)
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])


@asynccontextmanager
async def running_execution(dsn: str, nats_url: str, registry: str, folder: Path, **changes: Any) -> AsyncIterator[str]:
    """The execution service on a free port; yields its address."""
    settings = ExecutionSettings(
        listen=changes.pop("listen", "127.0.0.1:0"),
        database_url=SecretStr(dsn),
        nats_url=SecretStr(nats_url),
        identity_key=keys.IDENTITY_SECRET,
        registry_address=registry,
        blob_store_url=folder.as_uri(),
        drain_seconds=2,
        **changes,
    )
    execution = build_execution(settings)
    async with execution.running():
        yield execution.address


@asynccontextmanager
async def running_stack(
    dsn: str,
    nats_url: str,
    folder: Path,
    *,
    simulators: Sequence[SimulatorSettings] = (SimulatorSettings(),),
    replicas: int = 1,
    execution: dict[str, Any] | None = None,
    gateway: dict[str, Any] | None = None,
) -> AsyncIterator[Stack]:
    """Everything, for as long as the block lasts."""
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(running_registry(dsn, nats_url))
        addresses = [
            await stack.enter_async_context(running_execution(dsn, nats_url, registry, folder, **(execution or {})))
            for _ in range(replicas)
        ]
        running = build_gateway(
            GatewaySettings(
                listen="127.0.0.1:0",
                registry_address=registry,
                execution_address=addresses[0],
                identity_key=keys.IDENTITY_SECRET,
                url_signing_key=keys.LINKS_SECRET,
                drain_seconds=2,
                **(gateway or {}),
            )
        )
        await stack.enter_async_context(running.running())
        peers = [await stack.enter_async_context(simulating(settings)) for settings in simulators]
        yield Stack(f"http://{running.address}", RegistryPeer(registry), addresses, peers)
