"""The first account of a local fleet, its credentials, and its simulated runners. Safe to repeat."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from comfyfleet.runner_registry.v1 import account_pb2, runner_pb2
from comfyfleet.runner_registry.v1 import runner_registry_service_pb2 as pb
from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import RunnerRegistryServiceStub
from libs.errors import Unauthenticated
from libs.identity import OPERATOR, TENANT, IdentityKey, Principal
from libs.rpc.client import open_channel

if TYPE_CHECKING:
    from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import RunnerRegistryServiceAsyncStub

ACCOUNT_NAME = "local"


class Bootstrap:
    """Speaks to the registry as its operator."""

    def __init__(self, registry_address: str, identity_key: str) -> None:
        self._address = registry_address
        self._key = IdentityKey(identity_key)

    async def credentials(self, known: Mapping[str, str], url: str, admin_key: str) -> dict[str, str]:
        """The credentials of the local account: the known ones if they still work, else those of a new account."""
        kept = {name: known.get(name, "") for name in ("COMFYFLEET_ACCOUNT", *_TOKENS)}
        if not all(kept.values()) or not await self._works(kept["COMFYFLEET_TOKEN"]):
            kept = await self._new_account()
        return {"COMFYFLEET_URL": url, **kept, "COMFYFLEET_ADMIN_KEY": admin_key}

    async def register(self, account_id: str, endpoints: Sequence[str]) -> None:
        """Make the account's simulated runners be exactly these; runners of its own are left alone."""
        principal = Principal(account_id, "enterprise", frozenset({TENANT}))
        async with open_channel(self._address, sign=lambda: self._key.sign(principal)) as channel:
            stub = RunnerRegistryServiceStub(channel)
            listed = (await stub.ListRunners(pb.ListRunnersRequest(page_size=500))).runners
            simulated = [runner for runner in listed if runner.name.startswith(_PREFIX)]
            await self._remove_old(stub, simulated, endpoints)
            there = {runner.endpoint for runner in simulated}
            for number, endpoint in enumerate(endpoints, 1):
                if endpoint not in there:
                    request = pb.CreateRunnerRequest(name=f"{_PREFIX}{number}", endpoint=endpoint, tags=["simulated"])
                    await stub.CreateRunner(request)

    async def _remove_old(
        self, stub: "RunnerRegistryServiceAsyncStub", simulated: Sequence[runner_pb2.Runner], wanted: Sequence[str]
    ) -> None:
        for runner in simulated:
            if runner.endpoint not in wanted:
                await stub.DeleteRunner(pb.DeleteRunnerRequest(runner_id=runner.runner_id))

    async def _works(self, token: str) -> bool:
        async with open_channel(self._address) as channel:
            try:
                await RunnerRegistryServiceStub(channel).Authenticate(pb.AuthenticateRequest(credential=token))
            except Unauthenticated:
                return False
        return True

    async def _new_account(self) -> dict[str, str]:
        operator = Principal("", "", frozenset({OPERATOR}))
        async with open_channel(self._address, sign=lambda: self._key.sign(operator)) as channel:
            request = pb.CreateAccountRequest(name=ACCOUNT_NAME, tier=account_pb2.TIER_ENTERPRISE)
            created = await RunnerRegistryServiceStub(channel).CreateAccount(request)
        secrets = (created.token, created.token_one, created.token_two)
        return {"COMFYFLEET_ACCOUNT": created.account.account_id, **dict(zip(_TOKENS, secrets, strict=True))}


_PREFIX = "simulated-"
_TOKENS = ("COMFYFLEET_TOKEN", "COMFYFLEET_TOKEN1", "COMFYFLEET_TOKEN2")
