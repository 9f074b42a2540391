"""runner_registry over gRPC, with a real database: accounts, tokens, runners, isolation, limits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from comfyfleet.runner_registry.v1 import runner_pb2, token_pb2
from comfyfleet.runner_registry.v1 import runner_registry_service_pb2 as pb
from libs.errors import (
    AlreadyExists,
    Exhausted,
    Forbidden,
    InvalidArgument,
    NotFound,
    ServiceError,
    Unauthenticated,
)
from tests.support import keys
from tests.support.registry import RegistryPeer, registry_stub, running_registry


@pytest.fixture(scope="module")
async def registry(module_dsn: str) -> AsyncIterator[RegistryPeer]:
    async with running_registry(module_dsn) as address:
        yield RegistryPeer(address)


def a_runner(name: str = "Studio", **more: object) -> pb.CreateRunnerRequest:
    return pb.CreateRunnerRequest(name=name, endpoint="http://127.0.0.1:9", **more)  # type: ignore[arg-type]


async def authenticate(registry: RegistryPeer, credential: str) -> pb.AuthenticateResponse:
    async with registry_stub(registry.address, "") as stub:
        return await stub.Authenticate(pb.AuthenticateRequest(credential=credential))


async def test_every_credential_of_an_account_opens_it(registry: RegistryPeer) -> None:
    created = await registry.account()
    assert created.token.startswith("cfc_")
    assert len(created.token) == 44
    for secret in (created.token, created.token_one, created.token_two):
        answer = await authenticate(registry, secret)
        assert answer.principal.account_id == created.account.account_id
        assert list(answer.principal.roles) == ["tenant"]
        async with registry_stub(registry.address, answer.access_token) as stub:
            mine = await stub.GetAccount(pb.GetAccountRequest())
            assert mine.account == created.account


async def test_the_operator_key_is_a_credential(registry: RegistryPeer) -> None:
    answer = await authenticate(registry, keys.ADMIN)
    assert list(answer.principal.roles) == ["operator"]


@pytest.mark.parametrize("credential", ["cfc_" + "x" * 40, str(uuid4()), "nonsense", keys.ADMIN + "x"])
async def test_unknown_credentials_are_refused(registry: RegistryPeer, credential: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await authenticate(registry, credential)
    assert (caught.value.reason, caught.value.message) == ("CREDENTIAL_INVALID", "Invalid token")


async def test_rotating_a_slot_leaves_the_other_alone(registry: RegistryPeer) -> None:
    created = await registry.account()
    async with registry_stub(registry.address, keys.tenant(created.account.account_id)) as stub:
        rotated = await stub.RotateToken(pb.RotateTokenRequest(kind=token_pb2.TOKEN_KIND_SLOT_ONE))
    await authenticate(registry, rotated.secret)
    await authenticate(registry, created.token_two)
    with pytest.raises(Unauthenticated):
        await authenticate(registry, created.token_one)


async def test_named_tokens_expire_and_are_revoked(registry: RegistryPeer) -> None:
    created = await registry.account()
    past = Timestamp()
    past.FromDatetime(datetime.now(UTC) - timedelta(seconds=1))
    async with registry_stub(registry.address, keys.tenant(created.account.account_id)) as stub:
        expired = await stub.CreateToken(pb.CreateTokenRequest(name="old", expire_time=past))
        with pytest.raises(Unauthenticated) as caught:
            await authenticate(registry, expired.secret)
        assert (caught.value.reason, caught.value.message) == ("CREDENTIAL_EXPIRED", "Token has expired")
        await stub.DeleteToken(pb.DeleteTokenRequest(token_id=expired.token.token_id))
        with pytest.raises(Unauthenticated) as caught:
            await authenticate(registry, expired.secret)
        assert caught.value.reason == "CREDENTIAL_INVALID"
        tokens = (await stub.ListTokens(pb.ListTokensRequest())).tokens
        assert {token.name for token in tokens} == {"", "default"}
        assert all(token.HasField("create_time") for token in tokens)


async def test_no_secret_is_stored(registry: RegistryPeer, module_dsn: str) -> None:
    import asyncpg

    created = await registry.account()
    async with registry_stub(registry.address, keys.tenant(created.account.account_id)) as stub:
        await stub.CreateRunner(a_runner(headers={"X-Key": "s3cret-header"}))
    connection = await asyncpg.connect(module_dsn)
    try:
        tables = [
            row["tablename"]
            for row in await connection.fetch("select tablename from pg_tables where schemaname = 'registry'")
        ]
        dump = "".join([str(await connection.fetch(f"select t::text from registry.{table} t")) for table in tables])
    finally:
        await connection.close()
    for secret in (created.token, created.token_one, created.token_two, "s3cret-header"):
        assert secret not in dump


async def test_runners_are_created_read_changed_and_removed(registry: RegistryPeer) -> None:
    created = await registry.account()
    async with registry_stub(registry.address, keys.tenant(created.account.account_id)) as stub:
        runner = (
            await stub.CreateRunner(a_runner("  Studio ", headers={"X-Key": "a"}, tags=[" gpu", "gpu", "b"]))
        ).runner
        assert (runner.name, list(runner.tags), dict(runner.headers)) == ("Studio", ["gpu", "b"], {"X-Key": "a"})
        assert (await stub.GetRunner(pb.GetRunnerRequest(runner_id=runner.runner_id))).runner.name == "Studio"
        changed = await stub.UpdateRunner(
            pb.UpdateRunnerRequest(
                runner_id=runner.runner_id, tags=pb.TagList(), state=runner_pb2.RUNNER_STATE_DISABLED
            )
        )
        assert (list(changed.runner.tags), changed.runner.state) == ([], runner_pb2.RUNNER_STATE_DISABLED)
        assert dict(changed.runner.headers) == {"X-Key": "a"}
        unchanged = await stub.UpdateRunner(pb.UpdateRunnerRequest(runner_id=runner.runner_id))
        assert unchanged.runner.update_time == changed.runner.update_time
        await stub.DeleteRunner(pb.DeleteRunnerRequest(runner_id=runner.runner_id))
        with pytest.raises(NotFound):
            await stub.DeleteRunner(pb.DeleteRunnerRequest(runner_id=runner.runner_id))


async def test_pages_by_token_and_by_skip_agree(registry: RegistryPeer) -> None:
    created = await registry.account()
    async with registry_stub(registry.address, keys.tenant(created.account.account_id)) as stub:
        for number in range(5):
            await stub.CreateRunner(a_runner(f"r{number}"))
        first = await stub.ListRunners(pb.ListRunnersRequest(page_size=2))
        second = await stub.ListRunners(pb.ListRunnersRequest(page_size=2, page_token=first.next_page_token))
        skipped = await stub.ListRunners(pb.ListRunnersRequest(page_size=2, skip=2))
        assert [runner.name for runner in (*first.runners, *second.runners)] == ["r4", "r3", "r2", "r1"]
        assert [runner.name for runner in skipped.runners] == ["r2", "r1"]
        assert first.total_size == 5
        with pytest.raises(InvalidArgument) as caught:
            await stub.ListRunners(pb.ListRunnersRequest(page_token="rubbish"))
        assert "page_token" in caught.value.fields


async def test_a_repeated_request_id_repeats_the_answer(registry: RegistryPeer) -> None:
    created = await registry.account()
    async with registry_stub(registry.address, keys.tenant(created.account.account_id)) as stub:
        answers = await asyncio.gather(*[stub.CreateRunner(a_runner(request_id="once")) for _ in range(5)])
        assert len({answer.runner.runner_id for answer in answers}) == 1
        await stub.CreateToken(pb.CreateTokenRequest(name="a", request_id="once"))
        with pytest.raises(AlreadyExists):
            await stub.CreateToken(pb.CreateTokenRequest(name="a", request_id="once"))


async def test_the_tier_limit_holds_under_a_race(registry: RegistryPeer) -> None:
    created = await registry.account(tier="free")
    async with registry_stub(registry.address, keys.tenant(created.account.account_id)) as stub:
        answers = await asyncio.gather(*[stub.CreateRunner(a_runner()) for _ in range(8)], return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Exhausted)]
        assert (len(answers) - len(refused), len(refused)) == (3, 5)
        assert {error.reason for error in refused} == {"TIER_LIMIT"}


CALLS: list[tuple[str, Callable[[Any, str, str], Awaitable[object]]]] = [
    ("GetRunner", lambda stub, runner, _: stub.GetRunner(pb.GetRunnerRequest(runner_id=runner))),
    ("UpdateRunner", lambda stub, runner, _: stub.UpdateRunner(pb.UpdateRunnerRequest(runner_id=runner, name="x"))),
    ("DeleteRunner", lambda stub, runner, _: stub.DeleteRunner(pb.DeleteRunnerRequest(runner_id=runner))),
    ("DeleteToken", lambda stub, _, token: stub.DeleteToken(pb.DeleteTokenRequest(token_id=token))),
]


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
async def test_what_is_foreign_reads_as_not_found(
    registry: RegistryPeer, name: str, call: Callable[..., Awaitable[object]]
) -> None:
    owner, other = await registry.account(), await registry.account("Eve")
    async with registry_stub(registry.address, keys.tenant(owner.account.account_id)) as stub:
        runner = (await stub.CreateRunner(a_runner())).runner.runner_id
        token = next(t for t in (await stub.ListTokens(pb.ListTokensRequest())).tokens if t.name).token_id
    async with registry_stub(registry.address, keys.tenant(other.account.account_id)) as stub:
        with pytest.raises(NotFound) as foreign:
            await call(stub, runner, token)
        with pytest.raises(NotFound) as unknown:
            await call(stub, str(uuid4()), str(uuid4()))
        assert (foreign.value.reason, foreign.value.message) == (unknown.value.reason, unknown.value.message)
        assert not (await stub.ListRunners(pb.ListRunnersRequest())).runners
        assert (
            await stub.GetAccount(pb.GetAccountRequest(account_id=owner.account.account_id))
        ).account == other.account


OPERATOR_CALLS = [
    lambda stub: stub.CreateAccount(pb.CreateAccountRequest(name="x")),
    lambda stub: stub.ListAccounts(pb.ListAccountsRequest()),
    lambda stub: stub.UpdateAccount(pb.UpdateAccountRequest(account_id=str(uuid4()))),
    lambda stub: stub.CreateManagedRunner(
        pb.CreateManagedRunnerRequest(name="x", endpoint="http://a", runner_type=runner_pb2.RUNNER_TYPE_PRO)
    ),
]


@pytest.mark.parametrize("call", OPERATOR_CALLS)
async def test_tenants_cannot_act_as_operators(registry: RegistryPeer, call: Callable[..., Awaitable[object]]) -> None:
    created = await registry.account()
    async with registry_stub(registry.address, keys.tenant(created.account.account_id)) as stub:
        with pytest.raises(Forbidden):
            await call(stub)
    for nobody in ("", "rubbish"):
        async with registry_stub(registry.address, nobody) as stub:
            with pytest.raises(Unauthenticated):
                await call(stub)


async def test_a_deleted_account_reads_but_creates_nothing(registry: RegistryPeer) -> None:
    created = await registry.account()
    async with registry_stub(registry.address, keys.operator()) as stub:
        await stub.UpdateAccount(pb.UpdateAccountRequest(account_id=created.account.account_id, deleted=True))
    answer = await authenticate(registry, created.token)
    assert answer.principal.deleted
    async with registry_stub(registry.address, answer.access_token) as stub:
        await stub.ListRunners(pb.ListRunnersRequest())
        with pytest.raises(Forbidden) as caught:
            await stub.CreateRunner(a_runner())
        assert caught.value.message == "account is marked for deletion"


async def test_managed_runners_show_by_tier_and_hide_where_they_are(registry: RegistryPeer) -> None:
    async with registry_stub(registry.address, keys.operator()) as stub:
        for runner_type in (runner_pb2.RUNNER_TYPE_PRO, runner_pb2.RUNNER_TYPE_PLUS):
            await stub.CreateManagedRunner(
                pb.CreateManagedRunnerRequest(
                    name="shared", endpoint="http://127.0.0.1:9", headers={"X": "y"}, runner_type=runner_type
                )
            )
    seen = {}
    for tier in ("free", "pro", "plus", "enterprise"):
        async with registry_stub(registry.address, keys.tenant(str(uuid4()), tier)) as stub:
            runners = (await stub.ListManagedRunners(pb.ListManagedRunnersRequest())).runners
            seen[tier] = len(runners)
            assert all(not runner.endpoint and not runner.headers for runner in runners)
    assert seen == {"free": 0, "pro": 1, "plus": 2, "enterprise": 2}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.CreateRunnerRequest(name="", endpoint="http://a"), "name"),
        (pb.CreateRunnerRequest(name="a\x00", endpoint="http://a"), "name"),
        (pb.CreateRunnerRequest(name="a", endpoint="http://169.254.169.254"), "endpoint"),
        (pb.CreateRunnerRequest(name="a", endpoint="http://u:p@host"), "endpoint"),
        (pb.CreateRunnerRequest(name="a", endpoint="http://a", tags=["a,b"]), "tags[0]"),
        (pb.CreateRunnerRequest(name="a", endpoint="http://a", headers={"Host": "x"}), "headers"),
        (pb.CreateRunnerRequest(name="a", endpoint="http://a", headers={"X": "a\r\nY: b"}), "headers"),
    ],
)
async def test_bad_runners_are_refused_by_field(
    registry: RegistryPeer, request_: pb.CreateRunnerRequest, field: str
) -> None:
    created = await registry.account()
    async with registry_stub(registry.address, keys.tenant(created.account.account_id)) as stub:
        with pytest.raises(ServiceError) as caught:
            await stub.CreateRunner(request_)
        assert isinstance(caught.value, InvalidArgument)
        assert list(caught.value.fields) == [field]
