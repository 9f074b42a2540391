"""runner_registry inside the test process, on a real socket and a real database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from comfyfleet.runner_registry.v1.runner_registry_service_pb2 import CreateAccountRequest, CreateAccountResponse
from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import RunnerRegistryServiceStub
from libs.rpc.client import open_channel
from services.runner_registry.app import build
from services.runner_registry.convert import TIERS
from services.runner_registry.settings import RegistrySettings
from tests.support import keys

if TYPE_CHECKING:
    from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import RunnerRegistryServiceAsyncStub


@asynccontextmanager
async def running_registry(dsn: str, nats_url: str = "", **changes: Any) -> AsyncIterator[str]:
    """The service on a free port; yields its address. `changes` are settings by name."""
    settings = RegistrySettings(
        listen=changes.pop("listen", "127.0.0.1:0"),
        database_url=SecretStr(dsn),
        nats_url=SecretStr(nats_url),
        identity_key=keys.IDENTITY_SECRET,
        encryption_key=keys.ENCRYPTION_SECRET,
        admin_key=keys.ADMIN_SECRET,
        database_connections=4,
        drain_seconds=2,
        **{"probe_interval_seconds": 0.2, "probe_offline_interval_seconds": 0.2, "probe_timeout_seconds": 1} | changes,
    )
    registry = build(settings)
    async with registry.running():
        yield registry.address


@asynccontextmanager
async def registry_stub(address: str, token: str) -> AsyncIterator["RunnerRegistryServiceAsyncStub"]:
    """A client that acts as whom the token names."""
    async with open_channel(address, sign=lambda: token) as channel:
        yield RunnerRegistryServiceStub(channel)


@dataclass(frozen=True, slots=True)
class RegistryPeer:
    """Calls as several callers over one address."""

    address: str

    def calling(self, token: str) -> Any:
        """A context manager with a stub."""
        return registry_stub(self.address, token)

    async def account(self, name: str = "Ada", tier: str = "pro") -> CreateAccountResponse:
        """A new account with its secrets."""
        async with registry_stub(self.address, keys.operator()) as stub:
            return await stub.CreateAccount(CreateAccountRequest(name=name, tier=TIERS[tier]))
