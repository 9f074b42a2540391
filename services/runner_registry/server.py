"""The gRPC face: convert, call a use case, convert. No rules, no errors of its own."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import grpc.aio

from comfyfleet.runner_registry.v1 import runner_pb2
from comfyfleet.runner_registry.v1 import runner_registry_service_pb2 as pb
from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import RunnerRegistryServiceServicer
from libs.clock import Clock
from libs.identity import IdentityKey, Principal
from libs.rpc.context import current_principal
from services.runner_registry import access, convert
from services.runner_registry.accounts import Accounts
from services.runner_registry.answered import Asked
from services.runner_registry.paging import Cursor
from services.runner_registry.runners import Listing, NewRunner, RunnerChange, Runners
from services.runner_registry.watching import Changes, Watching

PUBLIC_METHODS = ("/comfyfleet.runner_registry.v1.RunnerRegistryService/Authenticate",)
Context = grpc.aio.ServicerContext[object, object]


def asked(method: str, request_id: str) -> Asked:
    """The caller's request id, within the caller's own scope."""
    return Asked(access.scope_of(current_principal()), method, request_id)


class RunnerRegistryServer(RunnerRegistryServiceServicer):
    """Every method of RunnerRegistryService."""

    def __init__(
        self, accounts: Accounts, runners: Runners, watching: Watching, key: IdentityKey, clock: Clock, ttl: float
    ) -> None:
        """`ttl` is how long a signed identity works, in seconds."""
        self._accounts = accounts
        self._runners = runners
        self._watching = watching
        self._key = key
        self._clock = clock
        self._ttl = ttl

    async def Authenticate(self, request: pb.AuthenticateRequest, context: Context) -> pb.AuthenticateResponse:
        principal = await self._accounts.authenticate(request.credential)
        return pb.AuthenticateResponse(
            principal=convert.principal(principal),
            access_token=self._key.sign(principal, self._ttl),
            expire_time=convert.timestamp(self._clock.now() + timedelta(seconds=self._ttl)),
        )

    async def CreateAccount(self, request: pb.CreateAccountRequest, context: Context) -> pb.CreateAccountResponse:
        access.require_operator(current_principal())
        created = await self._accounts.create(
            asked("CreateAccount", request.request_id),
            request.name,
            request.email,
            convert.TIER_WORDS[request.tier] or "free",
            request.provider or "github",
        )
        return pb.CreateAccountResponse(
            account=convert.account(created.account),
            token=created.token,
            token_one=created.token_one,
            token_two=created.token_two,
        )

    async def GetAccount(self, request: pb.GetAccountRequest, context: Context) -> pb.GetAccountResponse:
        account_id = access.account_for(current_principal(), request.account_id)
        return pb.GetAccountResponse(account=convert.account(await self._accounts.get(account_id)))

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: Context) -> pb.ListAccountsResponse:
        access.require_operator(current_principal())
        cursor = Cursor.of(request.page_size, request.page_token)
        rows, token = cursor.page(await self._accounts.page(cursor), "account_id")
        return pb.ListAccountsResponse(accounts=map(convert.account, rows), next_page_token=token)

    async def UpdateAccount(self, request: pb.UpdateAccountRequest, context: Context) -> pb.UpdateAccountResponse:
        access.require_operator(current_principal())
        account = await self._accounts.update(
            UUID(request.account_id),
            request.name if request.HasField("name") else None,
            convert.TIER_WORDS[request.tier] if request.HasField("tier") else None,
            request.deleted if request.HasField("deleted") else None,
        )
        return pb.UpdateAccountResponse(account=convert.account(account))

    async def CreateToken(self, request: pb.CreateTokenRequest, context: Context) -> pb.CreateTokenResponse:
        principal = current_principal()
        access.refuse_deleted(principal)
        expire_time: datetime | None = None
        if request.HasField("expire_time"):
            expire_time = request.expire_time.ToDatetime(UTC)
        created = await self._accounts.create_token(
            asked("CreateToken", request.request_id),
            access.account_for(principal, request.account_id),
            request.name,
            expire_time,
        )
        return pb.CreateTokenResponse(token=convert.token(created.token), secret=created.secret)

    async def ListTokens(self, request: pb.ListTokensRequest, context: Context) -> pb.ListTokensResponse:
        account_id = access.account_for(current_principal(), request.account_id)
        cursor = Cursor.of(request.page_size, request.page_token)
        rows, token = cursor.page(await self._accounts.list_tokens(account_id, cursor), "token_id")
        return pb.ListTokensResponse(tokens=map(convert.token, rows), next_page_token=token)

    async def DeleteToken(self, request: pb.DeleteTokenRequest, context: Context) -> pb.DeleteTokenResponse:
        await self._accounts.delete_token(UUID(request.token_id), current_principal())
        return pb.DeleteTokenResponse()

    async def RotateToken(self, request: pb.RotateTokenRequest, context: Context) -> pb.RotateTokenResponse:
        rotated = await self._accounts.rotate(
            asked("RotateToken", request.request_id),
            access.account_for(current_principal(), request.account_id),
            convert.KIND_WORDS[request.kind],
        )
        return pb.RotateTokenResponse(token=convert.token(rotated.token), secret=rotated.secret)

    async def CreateRunner(self, request: pb.CreateRunnerRequest, context: Context) -> pb.CreateRunnerResponse:
        principal = current_principal()
        access.refuse_deleted(principal)
        row = await self._runners.create(
            asked("CreateRunner", request.request_id), access.account_for(principal), _wanted(request)
        )
        return pb.CreateRunnerResponse(runner=self._told(row, principal))

    async def CreateManagedRunner(
        self, request: pb.CreateManagedRunnerRequest, context: Context
    ) -> pb.CreateManagedRunnerResponse:
        principal = current_principal()
        access.require_operator(principal)
        wanted = _wanted(request, convert.TYPE_WORDS[request.runner_type])
        row = await self._runners.create_managed(asked("CreateManagedRunner", request.request_id), wanted)
        return pb.CreateManagedRunnerResponse(runner=self._told(row, principal))

    async def GetRunner(self, request: pb.GetRunnerRequest, context: Context) -> pb.GetRunnerResponse:
        principal = current_principal()
        row = await self._runners.get(UUID(request.runner_id), principal)
        return pb.GetRunnerResponse(runner=self._told(row, principal))

    async def ListRunners(self, request: pb.ListRunnersRequest, context: Context) -> pb.ListRunnersResponse:
        principal = current_principal()
        cursor = Cursor.of(request.page_size, request.page_token)
        state = convert.STATE_WORDS.get(request.state)
        listing = await self._runners.page(access.account_for(principal), state, request.skip, cursor)
        runners, token = self._listed(listing, cursor, principal)
        return pb.ListRunnersResponse(runners=runners, next_page_token=token, total_size=listing.total)

    async def ListManagedRunners(
        self, request: pb.ListManagedRunnersRequest, context: Context
    ) -> pb.ListManagedRunnersResponse:
        principal = current_principal()
        cursor = Cursor.of(request.page_size, request.page_token)
        listing = await self._runners.managed_page(principal, request.skip, cursor)
        runners, token = self._listed(listing, cursor, principal)
        return pb.ListManagedRunnersResponse(runners=runners, next_page_token=token, total_size=listing.total)

    async def UpdateRunner(self, request: pb.UpdateRunnerRequest, context: Context) -> pb.UpdateRunnerResponse:
        principal = current_principal()
        access.refuse_deleted(principal)
        row = await self._runners.update(UUID(request.runner_id), _change(request), principal)
        return pb.UpdateRunnerResponse(runner=self._told(row, principal))

    async def DeleteRunner(self, request: pb.DeleteRunnerRequest, context: Context) -> pb.DeleteRunnerResponse:
        await self._runners.delete(UUID(request.runner_id), current_principal())
        return pb.DeleteRunnerResponse()

    async def WatchRunners(
        self, request: pb.WatchRunnersRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunnersResponse]:
        principal = current_principal()
        async for changes in self._watching.follow(request.after_revision, principal):
            for message in self._messages(changes, principal):
                yield message

    def _messages(self, changes: Changes, principal: Principal) -> list[pb.WatchRunnersResponse]:
        messages = [
            pb.WatchRunnersResponse(deleted_runner_id=str(row["runner_id"]), revision=row["revision"])
            if row["delete_time"]
            else pb.WatchRunnersResponse(runner=self._told(row, principal), revision=row["revision"])
            for row in changes.rows
        ]
        if changes.synced:
            messages.append(pb.WatchRunnersResponse(synced=True, revision=changes.revision))
        return messages

    def _listed(self, listing: Listing, cursor: Cursor, principal: Principal) -> tuple[list[runner_pb2.Runner], str]:
        rows, token = cursor.page(listing.rows, "runner_id")
        return [self._told(row, principal) for row in rows], token

    def _told(self, row: asyncpg.Record, principal: Principal) -> runner_pb2.Runner:
        """Endpoint and headers are for the owner, for operators and for services."""
        trusted = access.may_see_account(principal, row["account_id"])
        headers = self._runners.headers_of(row) if trusted else {}
        return convert.runner(row, headers, with_endpoint=trusted)


def _wanted(request: pb.CreateRunnerRequest | pb.CreateManagedRunnerRequest, runner_type: str = "own") -> NewRunner:
    return NewRunner(request.name, request.endpoint, dict(request.headers), list(request.tags), runner_type)


def _change(request: pb.UpdateRunnerRequest) -> RunnerChange:
    return RunnerChange(
        name=request.name if request.HasField("name") else None,
        endpoint=request.endpoint if request.HasField("endpoint") else None,
        headers=dict(request.headers.headers) if request.HasField("headers") else None,
        tags=list(request.tags.tags) if request.HasField("tags") else None,
        state=convert.STATE_WORDS[request.state] if request.HasField("state") else None,
    )
