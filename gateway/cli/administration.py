"""Accounts, tokens and managed runners, as the operator's commands print them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp

from comfyfleet.runner_registry.v1 import runner_registry_service_pb2 as pb
from comfyfleet.runner_registry.v1.account_pb2 import Account, Tier
from comfyfleet.runner_registry.v1.runner_pb2 import Runner, RunnerHealthState, RunnerState, RunnerType
from comfyfleet.runner_registry.v1.token_pb2 import Token, TokenKind
from gateway.cli.credentials import RegistryConnection, operator
from gateway.cli.registry import calling, word_of

TIERS = {word: Tier.Value(f"TIER_{word.upper()}") for word in ("free", "pro", "plus", "enterprise")}
RUNNER_TYPES = {"pro": RunnerType.RUNNER_TYPE_PRO, "plus": RunnerType.RUNNER_TYPE_PLUS}
SLOTS = {1: TokenKind.TOKEN_KIND_SLOT_ONE, 2: TokenKind.TOKEN_KIND_SLOT_TWO}
_PAGE = 500

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Administration:
    """What an operator may do, one method a command."""

    target: RegistryConnection

    def create_account(self, name: str, tier: str) -> Body:
        """A new account with its three secrets."""
        request = pb.CreateAccountRequest(name=name, tier=word_of(TIERS, tier, "--tier"), request_id=str(uuid4()))
        made = calling(self.target, lambda stub: stub.CreateAccount(request))
        return {
            "account_id": made.account.account_id,
            "token": made.token,
            "token1": made.token_one,
            "token2": made.token_two,
        }

    def accounts(self) -> list[Body]:
        """All of them, newest first."""
        return [
            account_body(account)
            for page in self._pages(lambda stub, at: stub.ListAccounts(_page(pb.ListAccountsRequest, at)))
            for account in page.accounts
        ]

    def create_token(self, account_id: str, name: str, days: int) -> Body:
        """A named token with its secret; 0 days means that it never stops working."""
        request = pb.CreateTokenRequest(account_id=account_id, name=name, request_id=str(uuid4()))
        if days:
            request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=days))
        made = calling(self.target, lambda stub: stub.CreateToken(request))
        return {**token_body(made.token), "token": made.secret}

    def tokens(self, account_id: str) -> list[Body]:
        """The tokens of an account."""
        return [
            token_body(token)
            for page in self._pages(
                lambda stub, at: stub.ListTokens(_page(pb.ListTokensRequest, at, account_id=account_id))
            )
            for token in page.tokens
        ]

    def revoke_token(self, token_id: str) -> None:
        """End a named token."""
        request = pb.DeleteTokenRequest(token_id=token_id, request_id=str(uuid4()))
        calling(self.target, lambda stub: stub.DeleteToken(request))

    def rotate_token(self, account_id: str, slot: int) -> Body:
        """A slot with its new secret."""
        request = pb.RotateTokenRequest(account_id=account_id, kind=SLOTS[slot], request_id=str(uuid4()))
        made = calling(self.target, lambda stub: stub.RotateToken(request))
        return {**token_body(made.token), "token": made.secret}

    def add_managed_runner(
        self, name: str, endpoint: str, runner_type: str, tags: Sequence[str], headers: Mapping[str, str]
    ) -> Body:
        """A runner that accounts of a tier share."""
        request = pb.CreateManagedRunnerRequest(
            name=name,
            endpoint=endpoint,
            headers=headers,
            tags=tags,
            runner_type=word_of(RUNNER_TYPES, runner_type, "--runner-type"),
            request_id=str(uuid4()),
        )
        return runner_body(calling(self.target, lambda stub: stub.CreateManagedRunner(request)).runner)

    def managed_runners(self) -> list[Body]:
        """All of them."""
        return [
            runner_body(runner)
            for page in self._pages(lambda stub, at: stub.ListManagedRunners(_page(pb.ListManagedRunnersRequest, at)))
            for runner in page.runners
        ]

    def _pages(self, fetch: Callable[[Any, str], Awaitable[Any]]) -> list[Any]:
        async def all_pages(stub: Any) -> list[Any]:
            pages = [await fetch(stub, "")]
            while pages[-1].next_page_token:
                pages.append(await fetch(stub, pages[-1].next_page_token))
            return pages

        return calling(self.target, all_pages)


def of(home: Path, address: str, key: str) -> Administration:
    """For the fleet that the options name."""
    return Administration(operator(home, address, key))


def account_body(account: Account) -> Body:
    """One account."""
    return {
        "account_id": account.account_id,
        "name": account.name,
        "tier": _word(Tier.Name(account.tier), "TIER_"),
        "created_at": _time(account.create_time),
    }


def token_body(token: Token) -> Body:
    """One token, without its secret."""
    return {
        "token_id": token.token_id,
        "kind": _word(TokenKind.Name(token.kind), "TOKEN_KIND_"),
        "name": token.name,
        "created_at": _time(token.create_time),
        "expires_at": _time(token.expire_time) if token.HasField("expire_time") else None,
        "last_used_at": _time(token.last_used_time) if token.HasField("last_used_time") else None,
    }


def runner_body(runner: Runner) -> Body:
    """One managed runner, without the values of its headers."""
    return {
        "id": runner.runner_id,
        "name": runner.name,
        "type": _word(RunnerType.Name(runner.runner_type), "RUNNER_TYPE_"),
        "status": _word(RunnerState.Name(runner.state), "RUNNER_STATE_"),
        "health": _word(RunnerHealthState.Name(runner.health.state), "RUNNER_HEALTH_STATE_"),
        "endpoint": runner.endpoint,
        "tags": list(runner.tags),
        "created_at": _time(runner.create_time),
    }


def _page(request: Any, token: str, **more: str) -> Any:
    return request(page_size=_PAGE, page_token=token, **more)


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()


def _time(timestamp: Timestamp) -> str:
    return timestamp.ToDatetime(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
